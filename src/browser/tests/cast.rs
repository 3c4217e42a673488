//! Tests of screencasts and manual input.

use std::time::Duration;

use super::Host;
use crate::page::Page;
use crate::screencast::{Button, Input, Key, Look, Mouse, MouseAct, TouchAct, TouchPoint};

const SOON: Duration = Duration::from_secs(20);

async fn value(page: &Page, script: &str) -> String {
    page.evaluate(script, SOON).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_come_while_somebody_takes_them() {
    let (_host, page) = Host::showing(
        "<style>body{margin:0}@keyframes k{to{margin-left:300px}}
        p{animation:k 1s infinite alternate}</style><p>Moves</p>",
    )
    .await;
    let look = Look { max_width: 640, ..Look::default() };
    let mut cast = page.cast(look).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 10 {
        let picture = tokio::time::timeout(SOON, cast.next()).await.unwrap().unwrap();
        assert_eq!(picture.bytes[..3], [0xff, 0xd8, 0xff]);
        assert!(picture.bytes.len() < 100_000, "{}", picture.bytes.len());
        seen.push(picture);
    }
    assert!(1000.0 < seen[0].page_width && seen[0].scale == 1.0, "{:?}", seen[0].page_width);
    assert_ne!(seen[0].bytes, seen[5].bytes);

    // A new screencast takes over the pictures.
    let mut other = page.cast(look).await.unwrap();
    assert!(tokio::time::timeout(SOON, other.next()).await.unwrap().is_some());
    while tokio::time::timeout(SOON, cast.next()).await.unwrap().is_some() {}
    drop(cast);
    assert!(tokio::time::timeout(SOON, other.next()).await.unwrap().is_some());
    page.close().await.unwrap();
    while tokio::time::timeout(SOON, other.next()).await.unwrap().is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wheel_has_a_mouse_fingers_and_keys() {
    let (_host, page) = Host::showing(
        "<style>body{margin:0}</style><input id=i style='position:absolute;left:0;top:0;width:200px;height:40px'>
        <button id=b style='position:absolute;left:0;top:100px;width:200px;height:40px'>B</button>
        <script>seen = []; for (const t of ['click', 'touchstart', 'touchend', 'keydown', 'keyup'])
        addEventListener(t, e => seen.push(t + (e.key || '') + (e.isTrusted ? '' : '!')))</script>",
    )
    .await;
    let mouse = |act, x, y| {
        let button = if act == MouseAct::Move { Button::None } else { Button::Left };
        Input::Mouse(Mouse { act, x, y, button, clicks: 1, modifiers: 0 })
    };
    for act in [MouseAct::Move, MouseAct::Down, MouseAct::Up] {
        page.input(&mouse(act, 50.0, 20.0)).await.unwrap();
    }
    let key = Key {
        key: "a".to_owned(),
        code: "KeyA".to_owned(),
        text: "a".to_owned(),
        number: 65,
        ..Key::default()
    };
    page.input(&Input::KeyDown(key.clone())).await.unwrap();
    page.input(&Input::KeyUp(key)).await.unwrap();
    page.input(&Input::Text("にほん".to_owned())).await.unwrap();
    assert_eq!(value(&page, "i.value").await, "\"aにほん\"");
    let finger = vec![TouchPoint { x: 50.0, y: 120.0, id: 1 }];
    page.input(&Input::Touch { act: TouchAct::Start, points: finger }).await.unwrap();
    page.input(&Input::Touch { act: TouchAct::End, points: Vec::new() }).await.unwrap();
    let finger = vec![TouchPoint { x: 50.0, y: 120.0, id: 1 }];
    page.input(&Input::Touch { act: TouchAct::Tap, points: finger }).await.unwrap();
    let seen = value(&page, "seen").await;
    assert!(seen.contains("\"keydowna\",\"keyupa\"") && seen.contains("\"touchstart\""), "{seen}");
    assert!(!seen.contains('!'), "{seen}");
}
