//! Signals that ask the program to end, to leave for a while, and to come back.

/// Waits until the program is asked to end: Ctrl-C, SIGTERM or SIGHUP.
pub async fn asked_to_end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hang_up)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()))
        else {
            tracing::warn!("signals cannot be watched; only SIGKILL ends this program early");
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    }
    #[cfg(not(unix))]
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

/// What a signal asks of a broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// SIGUSR1: leave for a while.
    Leave,
    /// SIGUSR2: come back.
    Back,
}

/// Hears SIGUSR1 and SIGUSR2, which end the program where nobody does.
#[derive(Debug)]
pub struct Presses {
    #[cfg(unix)]
    signals: Option<(tokio::signal::unix::Signal, tokio::signal::unix::Signal)>,
}

impl Presses {
    /// Begins to listen.
    #[must_use]
    pub fn new() -> Self {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let signals =
                signal(SignalKind::user_defined1()).and_then(|a| Ok((a, signal(SignalKind::user_defined2())?)));
            if let Err(error) = &signals {
                tracing::warn!(%error, "SIGUSR1 and SIGUSR2 cannot be watched");
            }
            Self { signals: signals.ok() }
        }
        #[cfg(not(unix))]
        Self {}
    }

    /// The next one; never, where there are no such signals.
    pub async fn next(&mut self) -> Asked {
        #[cfg(unix)]
        if let Some((leave, back)) = &mut self.signals {
            // A signal stream does not end.
            return tokio::select! {
                Some(()) = leave.recv() => Asked::Leave,
                Some(()) = back.recv() => Asked::Back,
                else => std::future::pending().await,
            };
        }
        std::future::pending().await
    }
}

impl Default for Presses {
    fn default() -> Self {
        Self::new()
    }
}
