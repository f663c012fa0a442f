//! The system's own placeholders: which there are, what they are called, and what they are about.

/// A placeholder that the system brings. The names in it travel and are kept: they stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
pub enum Theme {
    /// The default: away for a moment.
    Away,
    /// Playing games.
    Game,
    /// Singing and playing music.
    Music,
    /// Talking.
    Talk,
    /// Cooking and eating.
    Food,
    /// Outdoors.
    Outdoors,
    /// Learning and working in silence.
    Study,
}

impl Theme {
    /// All of them, the default first.
    pub const ALL: [Self; 7] =
        [Self::Away, Self::Game, Self::Music, Self::Talk, Self::Food, Self::Outdoors, Self::Study];

    /// Its name in arguments, files and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Game => "game",
            Self::Music => "music",
            Self::Talk => "talk",
            Self::Food => "food",
            Self::Outdoors => "outdoors",
            Self::Study => "study",
        }
    }

    /// The theme of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name() == name)
    }

    /// The words on it, in Chinese and in English.
    #[must_use]
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Away => ("去去就来", "Away for a moment"),
            Self::Game => ("存个档，马上回来", "Game saved. Back in a moment."),
            Self::Music => ("换口气，再唱", "Between two songs"),
            Self::Talk => ("喝口水，接着聊", "A sip of water, then we talk on"),
            Self::Food => ("锅里还炖着", "Something is on the stove"),
            Self::Outdoors => ("去前面看看", "Gone to see what is ahead"),
            Self::Study => ("合上书，歇一歇", "A short rest for the eyes"),
        }
    }

    /// Its curtain and its board.
    pub(super) fn art(self) -> (&'static str, &'static str) {
        match self {
            Self::Away => (include_str!("art/away.curtain.svg"), include_str!("art/away.board.svg")),
            Self::Game => (include_str!("art/game.curtain.svg"), include_str!("art/game.board.svg")),
            Self::Music => (include_str!("art/music.curtain.svg"), include_str!("art/music.board.svg")),
            Self::Talk => (include_str!("art/talk.curtain.svg"), include_str!("art/talk.board.svg")),
            Self::Food => (include_str!("art/food.curtain.svg"), include_str!("art/food.board.svg")),
            Self::Outdoors => (include_str!("art/outdoors.curtain.svg"), include_str!("art/outdoors.board.svg")),
            Self::Study => (include_str!("art/study.curtain.svg"), include_str!("art/study.board.svg")),
        }
    }
}
