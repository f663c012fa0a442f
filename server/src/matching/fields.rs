//! The usual words of the six fields, in both languages.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::slate::Theme;

const GAME: &str = "游戏 打游戏 手游 网游 端游 页游 单机 主机 电竞 开黑 上分 排位 段位 王者 王者荣耀 荣耀 野王 打野 国服 英雄联盟 原神 深渊 星穹铁道 崩坏 \
    和平精英 吃鸡 空投 绝区零 永劫无间 穿越火线 金铲铲 云顶 我的世界 塞尔达 宝可梦 马里奥 黑神话 悟空 老头环 魂系 通关 全收集 速通 二周目 副本 boss 攻略 \
    steam switch ps5 xbox fps moba rpg lol csgo cs2 dota dota2 valorant apex fortnite pubg overwatch minecraft roblox genshin \
    zelda pokemon mario eldenring elden malenia speedrun speedrunning game gaming gamer gameplay videogame ranked rank elo challenger \
    playthrough walkthrough nohit roguelike arcade retro console esports esport scrim faceit solo queue quest loot hardcore creeper \
    斗地主 麻将 象棋 围棋 棋牌 五子棋 扑克 炉石 chess gambit poker hearthstone 狼人杀 剧本杀 组队 四排 双排 跑图 沙盒 战棋 卡牌 league legends gank jungle 卡关";
const MUSIC: &str = "音乐 唱歌 歌曲 歌 点歌 点歌台 歌单 老歌 新歌 情歌 民谣 说唱 翻唱 弹唱 演唱 唱 唱首 清唱 歌手 乐队 乐器 吉他 贝斯 鼓 鼓手 架子鼓 鼓点 钢琴 键盘 小提琴 大提琴 \
    二胡 古筝 琵琶 笛子 尤克里里 萨克斯 指法 即兴 编曲 作曲 混音 音乐会 演奏 合唱 k歌 卡拉ok 国风 摇滚 爵士 古典 电音 打碟 排练 肖邦 晴天 \
    music musician song sing singing singer vocal cover acoustic guitar piano violin cello drum drums bass ukulele keyboard jazz rock pop \
    rap hiphop lofi techno house dj vinyl ableton daw beat beats producer remix mixtape karaoke duet band concert orchestra melody chord \
    setlist improv classical edm synth vst snare lyrics acapella busking jam";
const TALK: &str = "聊天 闲聊 唠嗑 唠 聊 聊聊 聊聊天 夜聊 谈心 心里话 连麦 电台 树洞 情感 失恋 吐槽 吐槽大会 脱口秀 相声 评书 故事 讲故事 说书 播客 访谈 辩论 问答 茶话会 杂谈 热点 时评 \
    大盘 股票 财经 经验 经验分享 八卦 深夜电台 \
    chat chatting justchatting talk talking talkshow podcast storytime story interview debate gossip ama qna conversation rant irlchat advice";
const FOOD: &str = "美食 吃播 做饭 下厨 厨房 做菜 烹饪 料理 菜谱 烘焙 蛋糕 甜品 面包 红烧肉 炒饭 蛋炒饭 火锅 烧烤 小吃 探店 大胃王 炸鸡 奶茶 咖啡拉花 包饺子 饺子 面条 毛肚 \
    食谱 食材 调料 冰糖 烤箱 炖 炒 煎 夜宵 宵夜 家常菜 外卖 吃饭 吃什么 底料 家宴 \
    food foodie cook cooking cookalong kitchen chef recipe bake baking baker bread sourdough cake dessert pastry roast grill bbq barbecue \
    ramen noodle noodles pasta pizza sushi soup stew mukbang eating dinner lunch breakfast tasting oven dish delicious fry";
const OUTDOORS: &str = "户外 徒步 爬山 登山 骑行 川藏线 露营 帐篷 钓鱼 赶海 旅行 旅游 自驾 房车 风景 探险 野外 荒野 山野 丛林 海边 雪山 古道 香山 滑雪 冲浪 攀岩 划船 潜水 采菌 采蘑菇 \
    公园 逛街 城市漫步 走走 出门 观鸟 草原 沙漠 垭口 海拔 鱼口 \
    outdoor outdoors hike hiking hiker trail trek trekking mountain mountains camp camping camper tent fishing angling travel traveling \
    traveler trip roadtrip vanlife van cycling biking backpacking wilderness nature forest beach surf surfing ski skiing climb climbing \
    kayak kayaking safari birdwatching bird birds wildlife dolomites fjord fjords explore sightseeing walk walking";
const STUDY: &str = "学习 自习 自习室 陪伴学习 考研 高考 中考 考公 公考 备考 刷题 四六级 四级 六级 雅思 托福 英语 单词 背单词 听力 写作 高数 数学 物理 化学 极限 导数 期末 复习 论文 \
    番茄钟 打卡 编程 代码 程序员 入门课 网课 课程 读书 阅读 图书馆 专注 倒计时 专升本 法考 洛必达 算法 缩进 \
    study studying studywithme student pomodoro exam exams revision revise finals homework thesis dissertation learn learning lecture class \
    course tutorial math maths calculus physics chemistry anatomy flashcards toefl ielts gre sat leetcode coding code coder programming \
    programmer python rust javascript java algorithm focus library reading deepwork cowork coworking";

static OF: LazyLock<HashMap<&'static str, Theme>> = LazyLock::new(|| all().collect());

/// Every word with its field.
pub(super) fn all() -> impl Iterator<Item = (&'static str, Theme)> {
    let lists = [
        (GAME, Theme::Game),
        (MUSIC, Theme::Music),
        (TALK, Theme::Talk),
        (FOOD, Theme::Food),
        (OUTDOORS, Theme::Outdoors),
        (STUDY, Theme::Study),
    ];
    lists.into_iter().flat_map(|(words, theme)| words.split_whitespace().map(move |w| (w, theme)))
}

/// The field of a word.
pub(super) fn of(word: &str) -> Option<Theme> {
    OF.get(word).copied()
}
