//! Nobody is flooded with our answers to questions that he did not ask.

use tinybt_core::dht::Config;
use tinybt_core::limits::{ITEM_REPLY_MAX, REPLY_MAX};
use tinybt_tests::hostile::amplification::{Minute, Ratio, Target, past_the_budget};

fn most(ratio: &Ratio) -> usize {
    if ratio.method == "get_peers" { 8 } else { 4 }
}

#[test]
fn a_stranger_gets_eight_times_his_question_for_peers_and_four_times_for_anything_else() {
    let ratios = Target::new(Config::new).ratios();
    let (mut whole, mut told) = (0, 0);
    for ratio in &ratios {
        let text = format!("{ratio:?}");
        if ratio.whole {
            whole += 1;
            assert!(ratio.method == "get" && ratio.reply <= ITEM_REPLY_MAX, "{text}");
            continue;
        }
        let longest = if ratio.method == "get" { ITEM_REPLY_MAX } else { REPLY_MAX };
        assert!(ratio.reply <= (most(ratio) * ratio.asked).min(longest), "{text}");
        // Somebody new is asked once whether he is there.
        assert!(ratio.all <= ratio.reply + 80, "{text}");
        told += usize::from(ratio.reply > 0);
    }
    assert!(whole > 0, "a few items go out whole");
    // Limits are no silence: only an error may be too long for the shortest question.
    assert_eq!(told, ratios.len() - whole);
}

#[test]
fn to_be_in_our_table_is_no_proof() {
    let ratios = Target::new(Config::new).ratios();
    let mut seen = 0;
    for known in ratios.iter().filter(|ratio| ratio.case.ends_with("as a node we know")) {
        let case = known.case.strip_suffix(", as a node we know").unwrap();
        let stranger = ratios.iter().find(|r| r.method == known.method && r.case == case).unwrap();
        assert!(known.reply <= stranger.reply + 26, "{known:?} {stranger:?}");
        seen += 1;
    }
    assert!(seen > 30);
}

#[test]
fn without_the_limit_answers_are_as_long_as_ever() {
    let mut target = Target::new(|family| {
        let mut config = Config::new(family);
        config.amplification = 0;
        config
    });
    let ratios = target.ratios();
    let worst = |method: &str| {
        let all = ratios.iter().filter(|ratio| ratio.method == method);
        all.map(Ratio::reply_ratio).fold(0.0, f64::max)
    };
    assert!(worst("get") > 12.0 && worst("sample_infohashes") > 8.0 && worst("get_peers") > 10.0);
}

#[test]
fn nothing_goes_out_past_the_budget() {
    // 50 answers a second, and 200 at once; a thousand questions a second.
    let (asked, told) = past_the_budget(&Minute::Peers);
    let answers = 50 * 60 + 200;
    assert!(told <= asked / 60_000 * 8 * (answers + 1), "{told} bytes");
    assert!(told < asked / 2);
}

#[test]
fn whoever_forges_sources_has_no_more_items_told_whole_than_may_be() {
    let ratios = Target::new(Config::new).ratios();
    let reply = |whole: bool| {
        let is_it = |r: &&Ratio| r.case.starts_with("IPv4 longest") && r.whole == whole;
        ratios.iter().find(is_it).unwrap().reply as u64
    };
    let (asked, told) = past_the_budget(&Minute::Items);
    assert!(told <= 4 * asked, "{told} bytes for {asked}");
    // 25 at once and five a second.
    let more = (told - 60_000 * reply(false)) / (reply(true) - reply(false));
    assert!((320..=326).contains(&more), "{more} of them");
}
