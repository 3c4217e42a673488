//! Tests of requests and responses in a tunnel.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use parking_lot::Mutex;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::error::StandinError;
use crate::report::{Report, Told};
use crate::serve;
use crate::table::{HTTP, NewStandin, Shape};
use crate::tests::{Bed, HOST, Site, VALUE, all, get, ok, open, post, secret, until};

const FAR: i64 = 4_000_000_000;

fn bed() -> Bed {
    Bed::new(vec![secret("KEY", VALUE, &[])])
}

/// A value whose placeholder has the same length.
fn shaped() -> (Bed, String) {
    let value = format!("ghp_{}", "Zy8".repeat(12));
    let new = NewStandin { shape: Shape::AsValue, ..secret("KEY", &value, &[]) };
    (Bed::new(vec![new]), value)
}

fn asks(token: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nX: {token}\r\n\r\n")
}

#[tokio::test]
async fn a_kept_connection_serves_one_request_after_the_other() {
    let bed = bed();
    let reports = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&reports);
    let report = Report::telling(move |news| {
        assert!(matches!(news, Told::Used(used) if used.count == 1 && used.id == "KEY"));
        counts.fetch_add(1, Ordering::Relaxed);
    });
    let site = bed.site(|_| ok("", "done")).await;
    let (client, serving) = bed.raw(site.address, &report);
    let asking = async {
        let mut client = bed.sealed(client, HOST).await.unwrap();
        for _ in 0..3 {
            client.write_all(asks(&bed.token("KEY")).as_bytes()).await.unwrap();
            until(&mut client, "done\r\n0\r\n\r\n").await;
        }
        // Two pipelined requests.
        client.write_all(asks("1").repeat(2).as_bytes()).await.unwrap();
        until(&mut client, "done\r\n0\r\n\r\n").await;
        until(&mut client, "done\r\n0\r\n\r\n").await;
    };
    let (ended, ()) = tokio::join!(serving, asking);
    assert_eq!(ended, Ok(()));
    assert!(site.seen.lock().iter().all(|seen| seen.connection == 0));
    assert_eq!((site.heads().len(), reports.load(Ordering::Relaxed)), (5, 3));
    assert!(report.uses().len() == 1 && report.uses()[0].count == 3);
}

#[tokio::test]
async fn what_may_not_be_used_any_more_is_refused_on_an_open_connection_too() {
    let bed = bed();
    let requests = AtomicUsize::new(0);
    let report = Report::default().asking(move |used| {
        assert_eq!((used.id.as_str(), used.host.as_str()), ("KEY", HOST));
        match requests.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(()),
            _ => Err("KEY was removed".to_owned()),
        }
    });
    let site = bed.site(|_| ok("", "done")).await;
    let (client, serving) = bed.raw(site.address, &report);
    let asking = async {
        let mut client = bed.sealed(client, HOST).await.unwrap();
        for asks in [asks("1"), asks(&bed.token("KEY"))] {
            client.write_all(asks.as_bytes()).await.unwrap();
            until(&mut client, "done\r\n0\r\n\r\n").await;
        }
        client.write_all(asks(&bed.token("KEY")).as_bytes()).await.unwrap();
        all(&mut client).await
    };
    let (ended, heard) = tokio::join!(serving, asking);
    assert!(ended == Ok(()) && heard.starts_with("HTTP/1.1 403") && heard.contains("KEY was"));
    assert!(site.heads().len() == 2 && report.refusals().len() == 1);
    assert_eq!(report.uses()[0].count, 1);
}

#[tokio::test]
async fn a_host_that_went_away_meanwhile_is_asked_anew() {
    let bed = bed();
    let site =
        bed.site(|seen| if seen.head.contains("/bye") { Vec::new() } else { ok("", "x") }).await;
    let heard = bed
        .tunnel(site.address, async |mut client| {
            client.write_all(asks("1").as_bytes()).await.unwrap();
            until(&mut client, "x\r\n0\r\n\r\n").await;
            client.write_all(get("/bye", "").as_bytes()).await.unwrap();
            all(&mut client).await
        })
        .await;
    assert_eq!(heard.status(), "502");
    assert!(matches!(heard.ended, Err(StandinError::Away { .. })));
    assert_eq!(bed.ask(&site, &get("/", "")).await.status(), "200");
}

#[tokio::test]
async fn bodies_stream_both_ways_without_being_kept() {
    const PIECES: usize = 12;
    let bed = bed();
    // No encoding of a placeholder starts with this byte. A possible start would be held back until more arrives.
    let piece = vec![0; 1024 * 1024];
    let (heard, mut hears) = mpsc::channel::<usize>(1);
    let (taken, mut takes) = mpsc::channel::<()>(1);
    let acceptor = bed.server(HOST, time::OffsetDateTime::from_unix_timestamp(FAR).unwrap());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let size = piece.len();
    let answers = piece.clone();
    tokio::spawn(async move {
        let mut wire = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        until(&mut wire, "\r\n\r\n").await;
        let mut buffer = vec![0; size];
        for count in 0..PIECES {
            wire.read_exact(&mut buffer).await.unwrap();
            heard.send(count).await.unwrap();
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", PIECES * size);
        wire.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..PIECES {
            wire.write_all(&answers).await.unwrap();
            wire.flush().await.unwrap();
            takes.recv().await.unwrap();
        }
    });
    let heard = bed
        .tunnel(address, async |mut client| {
            let head = format!(
                "PUT / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {}\r\n\r\n",
                PIECES * size
            );
            client.write_all(head.as_bytes()).await.unwrap();
            // Each piece is sent only after the other side has received the previous one.
            for count in 0..PIECES {
                client.write_all(&piece).await.unwrap();
                client.flush().await.unwrap();
                assert_eq!(hears.recv().await, Some(count));
            }
            until(&mut client, "\r\n\r\n").await;
            let mut total = 0;
            while total < PIECES * size {
                let line = until(&mut client, "\r\n").await;
                let length = usize::from_str_radix(line.trim_end(), 16).unwrap();
                let before = total / size;
                let mut chunk = vec![0; length + 2];
                client.read_exact(&mut chunk).await.unwrap();
                total += length;
                if before < total / size {
                    taken.send(()).await.unwrap();
                }
            }
            until(&mut client, "0\r\n\r\n").await
        })
        .await;
    assert_eq!((heard.ended, heard.text.as_str()), (Ok(()), "0\r\n\r\n"));
}

#[tokio::test]
async fn chunks_and_trailers_arrive() {
    let bed = bed();
    let site = bed
        .site(|_| {
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n{}\r\n0\r\nT: {VALUE}\r\n\r\n", &VALUE[..10])
                .into_bytes()
        })
        .await;
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\nSum: 7\r\n\r\n"
    );
    let heard = bed.ask(&site, &request).await;
    let key = bed.token("KEY");
    let rest = &VALUE[..10];
    assert!(heard.body().ends_with(&format!("0\r\nT: {key}\r\n\r\n")), "{heard:?}");
    assert!(heard.body().contains("abc") && heard.body().contains(rest));
    let seen = site.seen.lock().pop().unwrap();
    assert!(seen.body == b"hello!" && seen.head.ends_with("\r\n\r\nSum: 7\r\n\r\n"), "{seen:?}");
}

#[tokio::test]
async fn some_answers_end_with_their_head_and_some_with_the_connection() {
    let bed = bed();
    let site = bed
        .site(|seen| match seen.head.split(' ').nth(1).unwrap() {
            "/head" => b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n".to_vec(),
            "/none" => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
            "/same" => b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n".to_vec(),
            _ => b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end".to_vec(),
        })
        .await;
    let heard = bed
        .tunnel(site.address, async |mut client| {
            for (method, path, line) in [
                ("HEAD", "/head", "Content-Length: 5000"),
                ("GET", "/none", "204"),
                ("GET", "/same", "Content-Length: 7"),
            ] {
                let request = format!("{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
                client.write_all(request.as_bytes()).await.unwrap();
                assert!(until(&mut client, "\r\n\r\n").await.contains(line));
            }
            client.write_all(asks("1").as_bytes()).await.unwrap();
            all(&mut client).await
        })
        .await;
    assert!(heard.body() == "until the end" && heard.ended == Ok(()), "{heard:?}");
}

#[tokio::test]
async fn a_socket_is_copied_after_its_handshake() {
    let bed = bed();
    let acceptor = bed.server(HOST, time::OffsetDateTime::from_unix_timestamp(FAR).unwrap());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut wire = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        let head = until(&mut wire, "\r\n\r\n").await;
        assert!(head.contains(VALUE) && head.contains("Upgrade: websocket\r\n"), "{head}");
        let switch = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX: {VALUE}\r\n\r\nhi"
        );
        wire.write_all(switch.as_bytes()).await.unwrap();
        let (mut read, mut write) = tokio::io::split(wire);
        tokio::io::copy(&mut read, &mut write).await.unwrap();
    });
    let key = bed.token("KEY");
    let upgrade = "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n";
    let heard = bed
        .tunnel(address, async |mut client| {
            let request =
                format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{upgrade}X: {key}\r\n\r\nearly");
            client.write_all(request.as_bytes()).await.unwrap();
            let head = until(&mut client, "\r\n\r\n").await;
            assert!(head.contains(&key) && head.starts_with("HTTP/1.1 101 "));
            until(&mut client, "hiearly").await;
            // After the upgrade, nothing is inspected.
            client.write_all(key.as_bytes()).await.unwrap();
            client.flush().await.unwrap();
            until(&mut client, &key).await
        })
        .await;
    assert_eq!(heard.ended, Ok(()));
    let site = bed.site(|_| b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec()).await;
    let heard = bed.ask(&site, &get("/", "Upgrade: h2c\r\nHTTP2-Settings: x\r\n")).await;
    assert!(heard.status() == "502" && !site.heads()[0].contains("Upgrade: "), "{heard:?}");
}

#[tokio::test]
async fn who_waits_for_a_word_before_the_body_gets_it_from_the_host() {
    let bed = Bed::new(vec![secret("KEY", VALUE, &[crate::table::Place::Field("k".to_owned())])]);
    let acceptor = bed.server(HOST, time::OffsetDateTime::from_unix_timestamp(FAR).unwrap());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heads);
    tokio::spawn(async move {
        for say in
            ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n", ""]
        {
            let mut wire = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
            let head = until(&mut wire, "\r\n\r\n").await;
            kept.lock().push(head);
            wire.write_all(say.as_bytes()).await.unwrap();
            wire.flush().await.unwrap();
            if say.contains(" 417 ") {
                continue;
            }
            until(&mut wire, "}").await;
            wire.write_all(&ok("", "")).await.unwrap();
            wire.flush().await.unwrap();
        }
    });
    let ask = async |kind: &str, word: &str| {
        let head = format!(
            "PUT / HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {kind}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        );
        let talk = async |mut client: tokio_rustls::client::TlsStream<tokio::io::DuplexStream>| {
            client.write_all(head.as_bytes()).await.unwrap();
            let response = until(&mut client, "\r\n\r\n").await;
            assert!(response.starts_with(word), "{response}");
            if response.contains(" 100 ") {
                client.write_all(b"{...}").await.unwrap();
                return until(&mut client, "\r\n\r\n").await;
            }
            all(&mut client).await
        };
        bed.tunnel(address, talk).await
    };
    assert!(ask("text/plain", "HTTP/1.1 100 ").await.text.starts_with("HTTP/1.1 200 "));
    assert_eq!(ask("text/plain", "HTTP/1.1 417 ").await.text, "");
    // For a buffered body, the proxy itself sends 100 Continue.
    assert!(ask("application/json", "HTTP/1.1 100 ").await.text.starts_with("HTTP/1.1 200 "));
    let waits: Vec<bool> = heads.lock().iter().map(|head| head.contains("Expect:")).collect();
    assert_eq!(waits, [true, true, false]);
}

#[tokio::test]
async fn an_answer_that_echoes_a_value_shows_the_stand_in() {
    let coded = STANDARD.encode(format!("me:{VALUE}"));
    let urls = URL_SAFE.encode(format!("xx{VALUE}"));
    let body = format!(
        "a{VALUE}b {coded} {urls} va%2Flue%2Bof%20%22the%22%20key%3D1 {}",
        hex::encode(VALUE)
    );
    let bed = bed();
    let site = bed.site(move |_| ok(&format!("Location: /?{VALUE}\r\n"), &body)).await;
    let heard = bed.ask(&site, &get("/", "Accept-Encoding: gzip, br\r\n")).await;
    let key = bed.token("KEY");
    assert!(
        heard.text.contains(&format!("Location: /?{key}\r\ntransfer-encoding: chunked\r\n")),
        "{heard:?}"
    );
    assert!(heard.body().contains(&format!("a{key}b ")));
    let core = |text: &str| text[4..text.len() - 8].to_owned();
    for echo in
        [VALUE.to_owned(), core(&coded), core(&urls), "va%2Flue".to_owned(), hex::encode(VALUE)]
    {
        assert!(!heard.text.contains(&echo), "{echo}\n{}", heard.text);
    }
    assert!(
        site.heads()[0].contains("accept-encoding: identity\r\n")
            && !site.heads()[0].contains("gzip")
    );
}

#[tokio::test]
async fn an_answer_keeps_its_length_where_the_stand_in_is_as_long_as_the_value() {
    let (bed, value) = shaped();
    let echoed = value.clone();
    let site = bed.site(move |_| ok("", &format!("<{echoed}>"))).await;
    let heard = bed.ask(&site, &get("/", &format!("X: {}\r\n", bed.token("KEY")))).await;
    assert!(heard.text.contains("Content-Length: 42\r\n"), "{heard:?}");
    assert_eq!(heard.body(), format!("<{}>", bed.token("KEY")));
    assert!(site.heads()[0].contains(&value));
}

#[tokio::test]
async fn an_answer_that_hides_what_it_says_is_not_passed_on() {
    let bed = bed();
    for (line, status) in [("gzip", "502"), ("identity", "200")] {
        let site = bed.site(move |_| ok(&format!("Content-Encoding: {line}\r\n"), "x")).await;
        assert_eq!(bed.ask(&site, &get("/", "")).await.status(), status);
    }
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        "HTTP/1.1 200 OK\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
        "SSH-2.0-x\r\n\r\n",
    ] {
        let site = bed.site(move |_| answer.as_bytes().to_vec()).await;
        let heard = bed.ask(&site, &get("/", "")).await;
        assert!(matches!(heard.ended, Err(StandinError::Answer { .. })), "{answer}\n{heard:?}");
        assert_eq!(heard.status(), "502");
    }
}

#[tokio::test]
async fn a_request_that_two_could_read_differently_reaches_nobody() {
    let bed = bed();
    let site = bed.site(|_| ok("", "")).await;
    let key = bed.token("KEY");
    for lines in [
        "Content-Length: 4\r\nContent-Length: 0\r\n",
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "X: a\r\n folded\r\n",
        "X: a\n",
        "X: a\nY: b\r\n",
        "Host: evil.test\r\n",
        "X: a\rb\r\n",
    ] {
        let request =
            format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nK: {key}\r\n{lines}\r\n0\r\n\r\n");
        let heard = bed.ask(&site, &request).await;
        assert_eq!(heard.status(), "400", "{lines:?}\n{heard:?}");
        assert!(matches!(heard.ended, Err(StandinError::Unclear(_))) && heard.uses.is_empty());
    }
    for body in [
        "4\nabcd\r\n0\r\n\r\n",
        "-4\r\nabcd\r\n",
        "4\r\nabcdef\r\n",
        "ffffffffffffffff1\r\n",
        "\r\n",
        "0x4\r\nabcd\r\n",
    ] {
        let request =
            format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        assert_eq!(bed.ask(&site, &request).await.status(), "400", "{body:?}");
    }
    for request in [
        "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\n",
    ] {
        assert_eq!(bed.ask(&site, request).await.status(), "400", "{request}");
    }
    assert!(site.seen.lock().iter().all(|seen| !seen.is_whole && !seen.head.contains("K: ")));
}

#[tokio::test]
async fn what_is_too_long_or_too_slow_is_told_so() {
    let mut bed = bed();
    let usual = bed.limits;
    let site = bed
        .site(|seen| if seen.head.contains("/slow") { b"HTTP/1.1 2".to_vec() } else { ok("", "") })
        .await;
    let long = get("/", &format!("X: {}\r\n", "a".repeat(70_000)));
    assert_eq!(bed.ask(&site, &long).await.ended, Err(StandinError::TooLong));
    // The handshake has the same limit.
    bed.limits.program = Duration::from_secs(2);
    let heard = bed.ask(&site, "GET / HTTP/1.1\r\nHost: ").await;
    assert!(heard.status() == "408" && matches!(heard.ended, Err(StandinError::Idle { .. })));
    let heard = bed.ask(&site, &post("", "all")[..].replace("Length: 3", "Length: 9")).await;
    assert!(heard.status() == "408" && matches!(heard.ended, Err(StandinError::Idle { .. })));
    bed.limits = usual;
    bed.limits.host = Duration::from_millis(300);
    let heard = bed.ask(&site, &get("/slow", "")).await;
    assert!(heard.status() == "502" && heard.body().contains("doesn't respond"), "{heard:?}");
    // After a complete exchange, the connection may idle until the limit, and is then closed.
    bed.limits.rest = Duration::from_millis(200);
    assert_eq!(bed.ask(&site, "").await.ended, Ok(()));
}

#[tokio::test]
async fn a_program_that_goes_away_ends_what_it_began() {
    let bed = bed();
    let site = bed.site(|_| ok("", "")).await;
    let begun = post("", "").replace("Length: 0", "Length: 9") + "abc";
    let heard = bed
        .tunnel(site.address, async |mut client| {
            client.write_all(begun.as_bytes()).await.unwrap();
            client.shutdown().await.unwrap();
            String::new()
        })
        .await;
    assert_eq!(heard.ended, Err(StandinError::Gone));
    // While a host prepares its response.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let acceptor = bed.server(HOST, time::OffsetDateTime::from_unix_timestamp(FAR).unwrap());
    let address = listener.local_addr().unwrap();
    let thinking = tokio::spawn(async move {
        let mut wire = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        until(&mut wire, "\r\n\r\n").await;
        all(&mut wire).await
    });
    let heard = bed
        .tunnel(address, async |mut client| {
            client.write_all(asks("1").as_bytes()).await.unwrap();
            client.shutdown().await.unwrap();
            String::new()
        })
        .await;
    assert_eq!((heard.ended, thinking.await.unwrap().as_str()), (Err(StandinError::Gone), ""));
}

#[tokio::test]
async fn an_early_answer_is_passed_on_although_the_body_is_not_done() {
    let bed = bed();
    let acceptor = bed.server(HOST, time::OffsetDateTime::from_unix_timestamp(FAR).unwrap());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut wire = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        until(&mut wire, "\r\n\r\n").await;
        let answer = b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig";
        wire.write_all(answer).await.unwrap();
        wire.shutdown().await.unwrap();
        all(&mut wire).await;
    });
    let heard = bed
        .tunnel(address, async |mut client| {
            let head = post("", "").replace("Length: 0", "Length: 999999");
            client.write_all(head.as_bytes()).await.unwrap();
            all(&mut client).await
        })
        .await;
    assert!(heard.status() == "413" && heard.text.contains("big"), "{heard:?}");
}

/// A host over plain HTTP.
async fn plain(
    script: impl Fn(&crate::tests::Seen) -> Vec<u8> + Send + Sync + 'static,
) -> (Bed, Site) {
    let new = NewStandin { port: HTTP, ..secret("KEY", VALUE, &[]) };
    let mut bed = Bed::new(vec![new, secret("SEALED", "for-https-only", &[])]);
    bed.port = HTTP;
    (bed, open(None, Arc::new(script)).await)
}

/// Sends pieces in order and reads the whole response.
async fn exchange(bed: &Bed, site: &Site, pieces: &[&[u8]]) -> (String, Report) {
    let report = Report::default();
    let (mut client, inner) = tokio::io::duplex(64);
    let way = bed.way();
    let serving = serve::serve_plain(inner, &way, || TcpStream::connect(site.address), &report);
    let saying = async move {
        for piece in pieces {
            if client.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        all(&mut client).await
    };
    let (_, text) = tokio::join!(serving, saying);
    (text, report)
}

#[tokio::test]
async fn nothing_is_sent_unsealed_but_what_names_port_80() {
    let (bed, site) = plain(|_| ok("", "")).await;
    for (id, status) in [("KEY", "200"), ("SEALED", "403")] {
        let request = get("/", &format!("X: {}\r\n", bed.token(id)));
        let (text, report) = exchange(&bed, &site, &[request.as_bytes()]).await;
        assert_eq!(&text[9..12], status);
        assert_eq!(report.uses().len() + report.refusals().len(), 1);
    }
    assert!(site.heads().len() == 1 && site.heads()[0].contains(VALUE));
}

#[test]
fn a_request_is_the_same_wherever_it_is_cut() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (bed, site) = runtime.block_on(plain(|seen| {
        // A host that received a value repeats it.
        ok(
            "",
            &format!("{} {}", if seen.head.contains(VALUE) { VALUE } else { "-" }, seen.body.len()),
        )
    }));
    let key = bed.token("KEY");
    let line = format!("X: {key}\r\n");
    let chunked = format!(
        "POST / HTTP/1.1\r\nHost: {HOST}\r\n{line}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhqs_!\r\n0\r\nT: 1\r\n\r\n"
    );
    let requests = [
        (get("/", &line), "200", 1),
        (post(&line, "hqs_ is a body"), "200", 1),
        (chunked, "200", 1),
        (post("", &format!("--{key}--")), "403", 0),
        (get("/?a", &format!("X: {}\r\n", &key[3..])), "403", 0),
        (get("/?a", "X: a\r\n b\r\n"), "400", 0),
    ];
    let cut = |which: usize, cuts: &[usize]| {
        let (request, status, uses) = &requests[which];
        let bytes = request.as_bytes();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % bytes.len()).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|two| &bytes[two[0]..two[1]]).collect();
        let (text, report) = runtime.block_on(exchange(&bed, &site, &pieces));
        assert_eq!((&text[9..12], report.uses().len()), (*status, *uses), "{request}\n{text}");
        assert!(!text.contains(VALUE) && (*uses == 0 || text.contains(&key)), "{text}");
    };
    proptest!(ProptestConfig::with_cases(96), |(which in 0usize..6, cuts in proptest::collection::vec(0usize..4096, 1..5))| {
        cut(which, &cuts);
    });
}

#[test]
fn an_answer_is_the_same_wherever_it_is_cut() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (bed, _) = runtime.block_on(plain(|_| Vec::new()));
    let key = bed.token("KEY");
    let answer = format!(
        "HTTP/1.1 200 OK\r\nX: {VALUE}\r\nTransfer-Encoding: chunked\r\n\r\n1c\r\n<{VALUE}{}\r\n0\r\n\r\n",
        "va/lue"
    );
    for at in 0..answer.len() {
        let text = runtime.block_on(async {
            let (client, inner) = tokio::io::duplex(4096);
            let (mut host, outer) = tokio::io::duplex(4096);
            let (way, report) = (bed.way(), Report::default());
            let mut outer = Some(outer);
            let dial = || std::future::ready(Ok(outer.take().unwrap()));
            let hosting = async {
                until(&mut host, "\r\n\r\n").await;
                host.write_all(&answer.as_bytes()[..at]).await.unwrap();
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
                host.write_all(&answer.as_bytes()[at..]).await.unwrap();
            };
            let mut client = client;
            let asking = async {
                client.write_all(get("/", "").as_bytes()).await.unwrap();
                all(&mut client).await
            };
            let (_, (), text) =
                tokio::join!(serve::serve_plain(inner, &way, dial, &report), hosting, asking);
            text
        });
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("X: {key}\r\n")), "{at}\n{text}");
        let mut whole = String::new();
        let mut rest = body;
        while let Some((size, after)) = rest.split_once("\r\n") {
            let size = usize::from_str_radix(size, 16).unwrap();
            whole.push_str(&after[..size]);
            rest = &after[size + 2..];
            if size == 0 {
                break;
            }
        }
        assert_eq!(whole, format!("<{key}va/lue"), "{at}\n{text}");
    }
}
