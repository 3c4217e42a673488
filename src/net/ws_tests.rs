//! WebSocket client tests against a server on the loopback interface.

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::client::{ClientParts, HttpClient};
use super::error::NetError;
use super::guard::{GuardError, Opened};
use super::ws::{self, Frame};
use loopback::{answer, serving};

/// Echoes texts; `big` is answered with 2000 bytes, `bye` with a close frame of code 4004.
async fn echo() -> (HttpClient, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            socket.send(Message::Ping("p".into())).await.unwrap();
            while let Some(Ok(message)) = socket.next().await {
                let reply = match message.to_text().unwrap_or_default() {
                    "big" => Message::text("x".repeat(2000)),
                    "bye" => {
                        let frame = CloseFrame { code: 4004.into(), reason: "no".into() };
                        Message::Close(Some(frame))
                    }
                    // The pong shows that the ping was answered.
                    _ if message.is_pong() => Message::text("pong"),
                    _ if message.is_close() => break,
                    other => Message::text(other.to_owned()),
                };
                if socket.send(reply).await.is_err() {
                    break;
                }
            }
        }
    });
    (opened(&address.to_string()), format!("ws://{address}/"))
}

fn opened(address: &str) -> HttpClient {
    HttpClient::new(ClientParts::default()).opening(Opened::of(&[address.to_owned()]))
}

#[tokio::test]
async fn texts_pings_and_close_frames_pass_and_large_messages_do_not() {
    let (client, url) = echo().await;
    let mut socket = ws::connect(&client, &url, 1000).await.unwrap();
    socket.send_text("hello").await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..2 {
        seen.push(socket.next().await.unwrap().unwrap());
    }
    assert!(
        seen.contains(&Frame::Text("hello".into())) && seen.contains(&Frame::Text("pong".into()))
    );
    socket.send_text("bye").await.unwrap();
    let close = Frame::Close { code: Some(4004), reason: "no".into() };
    assert_eq!(socket.next().await.unwrap().unwrap(), close);
    drop(socket);
    let mut socket = ws::connect(&client, &url, 1000).await.unwrap();
    socket.send_text("big").await.unwrap();
    let large = loop {
        match socket.next().await.unwrap() {
            Ok(_) => {}
            Err(err) => break err,
        }
    };
    assert!(matches!(large, NetError::TooLarge { limit: 1000, .. }), "{large:?}");
}

#[tokio::test]
async fn private_addresses_and_servers_without_the_right_key_are_refused() {
    let (client, url) = echo().await;
    let closed = HttpClient::new(ClientParts::default());
    let refused = ws::connect(&closed, &url, 1000).await.unwrap_err();
    assert!(matches!(
        refused,
        NetError::Refused(GuardError::Port { .. } | GuardError::Private { .. })
    ));
    let other = ws::connect(&client, "ws://127.0.0.1:1/", 1000).await.unwrap_err();
    assert!(matches!(other, NetError::Refused(_)), "{other:?}");
    let headers = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: AAAA\r\n";
    for (status, headers) in [("101 Switching Protocols", headers), ("200 OK", "")] {
        let err = serving(
            |_| answer(status, headers, ""),
            async |address| {
                let client = opened(&address.to_string());
                ws::connect(&client, &format!("ws://{address}/"), 1000).await.unwrap_err()
            },
        )
        .await;
        assert!(matches!(err, NetError::Connect { .. }), "{err:?}");
    }
}
