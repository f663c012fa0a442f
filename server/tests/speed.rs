//! Measuring the line, over TCP, against the real server.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Site, site, site_with};
use mujian_server::config::Rate;
use serde_json::Value;

async fn measure(site: &Site, token: Option<&str>, bytes: usize) -> (u16, Value) {
    let request = site.client.post(format!("{}/api/v1/speed", site.base)).body(vec![7; bytes]);
    let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token));
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn what_came_is_told_and_no_more_than_enough_is_read() {
    let site = site().await;
    let person = site.person("streamer").await;
    assert_eq!(measure(&site, None, 1000).await.0, 401);
    let (status, few) = measure(&site, Some(&person), 100).await;
    assert_eq!((status, &few["bytes"], &few["bits_per_second"]), (200, &100.into(), &0.into()));
    let (status, many) = measure(&site, Some(&person), 4 << 20).await;
    assert_eq!((status, &many["bytes"]), (200, &(4 << 20).into()));
    assert!(many["bits_per_second"].as_u64().unwrap() > 1_000_000, "{many}");
    // Loopback carries what is too much whole; it is not read to its end.
    let (status, all) = measure(&site, Some(&person), 40 << 20).await;
    assert_eq!(status, 200);
    assert!((16 << 20..17 << 20).contains(&all["bytes"].as_u64().unwrap()), "{all}");
}

#[tokio::test]
async fn a_line_is_not_measured_all_the_time() {
    let site = site_with(|config| config.limits.speed = Rate { burst: 2, per_hour: 1 }).await;
    let person = site.person("streamer").await;
    for _ in 0..2 {
        assert_eq!(measure(&site, Some(&person), 10).await.0, 200);
    }
    let (status, refused) = measure(&site, Some(&person), 10).await;
    assert_eq!((status, refused["code"].as_str()), (429, Some("rate_limited")));
}
