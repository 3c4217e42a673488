//! Tests of placeholder replacement and refusals.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::StandinError;
use crate::report::Use;
use crate::table::{HTTP, NewStandin, Place, Shape, Standins, Value};
use crate::tests::{Bed, HOST, VALUE, get, ok, post, secret};

fn field() -> Place {
    Place::Field("client_secret".to_owned())
}

fn secrets() -> Vec<NewStandin> {
    vec![
        secret("KEY", VALUE, &[]),
        secret("QUERY", VALUE, &[Place::Query]),
        secret("PATH_KEY", "12:ab/../c?", &[Place::Path]),
        secret("FIELD", VALUE, &[field()]),
        secret("LINES", "two\nlines-of-it", &[]),
        NewStandin {
            hosts: vec!["*.other.test".to_owned()],
            ..secret("OTHER", "elsewhere-only", &[])
        },
        NewStandin { port: 8443, ..secret("PORT", "another-port", &[]) },
    ]
}

#[tokio::test]
async fn a_stand_in_is_swapped_in_each_place_that_its_secret_names() {
    let bed = Bed::new(secrets());
    let site = bed.site(|_| ok("", "")).await;
    let (key, query, path, in_field) =
        (bed.token("KEY"), bed.token("QUERY"), bed.token("PATH_KEY"), bed.token("FIELD"));
    let basic = |inner: &str| STANDARD.encode(inner);
    let coded = "va%2Flue%2Bof%20%22the%22%20key%3D1";
    for (request, head, body, id, place) in [
        (
            get("/a", &format!("Authorization: Bearer {key}\r\n")),
            format!("Authorization: Bearer {VALUE}\r\n"),
            String::new(),
            "KEY",
            Place::Headers,
        ),
        (
            get("/a", &format!("X-Api-Key:{key}\r\n")),
            format!("X-Api-Key: {VALUE}\r\n"),
            String::new(),
            "KEY",
            Place::Headers,
        ),
        (
            get("/a", &format!("authorization: basic {}\r\n", basic(&format!("me:{key}")))),
            format!("authorization: Basic {}\r\n", basic(&format!("me:{VALUE}"))),
            String::new(),
            "KEY",
            Place::Headers,
        ),
        (
            get(
                "/a",
                &format!(
                    "Authorization: Basic {}\r\n",
                    basic(&format!("{}:x", bed.token("LINES")))
                ),
            ),
            format!("Authorization: Basic {}\r\n", basic("two\nlines-of-it:x")),
            String::new(),
            "LINES",
            Place::Headers,
        ),
        (
            get(&format!("/a%20b?x=%31&k={query}&y=1"), ""),
            format!("GET /a%20b?x=%31&k={coded}&y=1 HTTP/1.1\r\n"),
            String::new(),
            "QUERY",
            Place::Query,
        ),
        (
            get(&format!("/bot{path}/send"), ""),
            "GET /bot12:ab%2F..%2Fc%3F/send HTTP/1.1\r\n".to_owned(),
            String::new(),
            "PATH_KEY",
            Place::Path,
        ),
        (
            post(
                "Content-Type: application/x-www-form-urlencoded\r\n",
                &format!("a=1&client_secret={in_field}"),
            ),
            "content-length: 53\r\n".to_owned(),
            format!("a=1&client_secret={coded}"),
            "FIELD",
            field(),
        ),
        (
            post(
                "Content-Type: application/json\r\n",
                &format!("{{\"n\": 1.50, \"client_secret\": \"{in_field}\"}}"),
            ),
            "content-length: 55\r\n".to_owned(),
            "{\"n\": 1.50, \"client_secret\": \"va/lue+of \\\"the\\\" key=1\"}".to_owned(),
            "FIELD",
            field(),
        ),
    ] {
        let heard = bed.ask(&site, &request).await;
        assert_eq!((heard.status(), &heard.ended), ("200", &Ok(())), "{request}\n{heard:?}");
        let seen = site.seen.lock().pop().unwrap();
        assert!(seen.head.contains(&head), "{head}\n{}", seen.head);
        assert!(seen.is_whole && seen.body == body.as_bytes(), "{seen:?}");
        assert!(!seen.head.contains("hqs_"));
        let (id, host) = (id.to_owned(), HOST.to_owned());
        assert_eq!(heard.uses, [Use { id, host, place, count: 1 }]);
        assert!(heard.refusals.is_empty());
    }
}

#[tokio::test]
async fn a_stand_in_anywhere_else_is_refused_and_the_host_never_hears_of_it() {
    let bed = Bed::new(secrets());
    let site = bed.site(|_| ok("", "")).await;
    let key = bed.token("KEY");
    let in_field = bed.token("FIELD");
    let json = "Content-Type: application/json\r\n";
    let signs = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    for (request, why) in [
        (
            get(&format!("/?k={key}"), ""),
            "the placeholder of KEY can't be in the query; send it in a header",
        ),
        (get(&format!("/{key}"), ""), "can't be in the path"),
        (get("/", &format!("{key}: x\r\n")), "can't be in the name of a header"),
        (get("/", &format!("Connection: {key}\r\n")), "can't be in this header"),
        (
            get("/", &format!("X: {}\r\n", bed.token("QUERY"))),
            "can't be in a header; send it in the query",
        ),
        (
            get("/", &format!("X: {}\r\n", bed.token("OTHER"))),
            "the placeholder of OTHER isn't for api.site.test:443",
        ),
        (get("/", &format!("X: {}\r\n", bed.token("PORT"))), "the placeholder of PORT isn't for"),
        (get("/", &format!("X: {}\r\n", bed.token("LINES"))), "has several lines"),
        (
            get("/", &format!("X: {}\r\nY: {}\r\n", &key[..20], &key[20..])),
            "a part of the placeholder of KEY",
        ),
        (get("/", &format!("X: {}\r\n", signs(&key))), "the placeholder of KEY is encoded"),
        (get(&format!("/?k={}", signs(&key)), ""), "is encoded"),
        (get(&format!("/?k=%68{}", &key[1..]), ""), "a part of"),
        (get("/", &format!("X: {}\r\n", STANDARD.encode(&key))), "is encoded"),
        (get("/", &format!("X: {}\r\n", STANDARD.encode(format!("ab{key}")))), "is encoded"),
        (
            get(
                "/",
                &format!("Authorization: Basic {}\r\n", STANDARD.encode(STANDARD.encode(&key))),
            ),
            "is encoded",
        ),
        (
            get("/", &format!("Authorization: Basic {}\r\n", STANDARD.encode(bed.token("OTHER")))),
            "isn't for",
        ),
        (get("/", &format!("X: hqs_{}\r\n", "x".repeat(43))), "is unknown"),
        (post(json, &format!("{{\"a\": \"{in_field}\"}}")), "can't be in the field a"),
        (
            post(json, &format!("{{\"a\": {{\"client_secret\": \"{in_field}\"}}}}")),
            "can't be in the body",
        ),
        (post(json, &format!("[\"{in_field}\"]")), "can't be in the body"),
        (
            post(json, &format!("{{\"client_secret\": \"{key}\"}}")),
            "can't be in the field client_secret",
        ),
    ] {
        let heard = bed.ask(&site, &request).await;
        assert_eq!((heard.status(), &heard.ended), ("403", &Ok(())), "{request}\n{heard:?}");
        assert!(heard.body().starts_with("HQ: ") && heard.body().contains(why), "{why}\n{heard:?}");
        assert_eq!(heard.refusals.len(), 1);
        assert!(heard.refusals[0].why.contains(why) && heard.uses.is_empty());
        assert!(!heard.text.contains(&key) && site.heads().is_empty(), "{request}");
    }
}

#[tokio::test]
async fn a_stand_in_in_a_body_ends_the_request_before_it_is_passed_on() {
    let bed = Bed::new(secrets());
    let site = bed.site(|_| ok("", "")).await;
    let key = bed.token("KEY");
    let filler = "x".repeat(100_000);
    let chunked = |body: &str| {
        let (left, right) = body.split_at(body.len() / 2);
        format!(
            "POST / HTTP/1.1\r\nHost: {HOST}\r\nX: {key}\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{left}\r\n{:x};a=b\r\n{right}\r\n0\r\n",
            left.len(),
            right.len(),
        )
    };
    for request in [
        post("", &format!("{filler}{key}{filler}")),
        post("", &key),
        post("", &STANDARD.encode(format!("x{key}"))),
        chunked(&format!("{filler}{key}{filler}")),
        chunked("abcd") + &format!("X: {key}\r\n\r\n"),
        chunked("abcd") + &format!("X: {}\r\n\r\n", "a".repeat(70_000)),
    ] {
        let heard = bed.ask(&site, &request).await;
        assert!(["403", "431"].contains(&heard.status()), "{heard:?}");
        // The host notices the end of its connection a moment later.
        while site.seen.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        let seen = site.seen.lock().pop().unwrap();
        assert!(!seen.is_whole, "{}", seen.head);
        assert!(!String::from_utf8_lossy(&seen.body).contains(&key[..12]));
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_to_be_held_back_is_streamed() {
    let mut bed = Bed::new(secrets());
    bed.limits.fields = 100;
    let site = bed.site(|_| ok("", "")).await;
    let token = bed.token("FIELD");
    let (long, short) = ("x".repeat(200), String::new());
    for (filler, secret, status) in
        [(&long, "none", "200"), (&long, token.as_str(), "403"), (&short, token.as_str(), "200")]
    {
        let body = format!("{{\"a\": \"{filler}\", \"client_secret\": \"{secret}\"}}");
        let json = format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n");
        let chunked = format!(
            "{json}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        );
        for request in [post("Content-Type: application/json\r\n", &body), chunked] {
            let heard = bed.ask(&site, &request).await;
            assert_eq!(heard.status(), status, "{request}\n{heard:?}");
            let body = body.replace(&token, "va/lue+of \\\"the\\\" key=1");
            let mut seen = site.seen.lock();
            let arrived = seen.iter().any(|seen| seen.is_whole && seen.body == body.as_bytes());
            assert_eq!(arrived, status == "200", "{seen:?}");
            seen.clear();
        }
    }
}

#[tokio::test]
async fn ordinary_words_pass() {
    let bed = Bed::new(secrets());
    let site = bed.site(|seen| ok("", &String::from_utf8_lossy(&seen.body))).await;
    let text = "hqs_ is how they begin; hqs_short is none, 100% of them";
    let heard = bed.ask(&site, &post(&format!("X: {text}\r\n"), text)).await;
    assert!(heard.status() == "200" && heard.body().contains(text), "{heard:?}");
    assert!(site.heads()[0].contains(text) && heard.uses.is_empty());
}

#[test]
fn a_table_says_what_is_wrong_with_a_secret() {
    let made = |new: NewStandin| Standins::new(vec![secret("A", VALUE, &[]), new]).err();
    let with = |hosts: &[&str]| NewStandin {
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        ..secret("B", VALUE, &[])
    };
    let id = || "B".to_owned();
    assert_eq!(made(with(&[])), Some(StandinError::NoHost { id: id() }));
    for host in ["", "*", "*.", "a/b", "a b", "x@y", "*.*.a", "a:1/"] {
        assert_eq!(made(with(&[host])), Some(StandinError::BadHost { id: id() }), "{host}");
    }
    assert_eq!(
        made(NewStandin { value: Value::new(""), ..with(&["a"]) }),
        Some(StandinError::Empty { id: id() })
    );
    assert_eq!(made(secret("A", "x", &[])), Some(StandinError::Twice { id: "A".to_owned() }));
    assert_eq!(made(with(&["a.test", "*.b.test", "10.0.0.1", "[::1]"])), None);
}

#[test]
fn a_table_covers_the_hosts_and_ports_of_its_secrets() {
    let hosts = ["a.test", "*.b.test", "::1"].map(str::to_owned).to_vec();
    let table = Standins::new(vec![
        NewStandin { hosts: hosts.clone(), ..secret("A", VALUE, &[]) },
        NewStandin { port: HTTP, ..secret("B", VALUE, &[]) },
    ])
    .unwrap();
    for (host, port, covered) in [
        ("a.test", 443, true),
        ("A.Test.", 443, true),
        ("x.a.test", 443, false),
        ("b.test", 443, false),
        ("x.y.b.test", 443, true),
        ("xb.test", 443, false),
        ("[::1]", 443, true),
        ("a.test", 80, false),
        (HOST, 80, true),
        (HOST, 443, false),
    ] {
        assert_eq!(table.cover(host, port), covered, "{host}:{port}");
    }
    let shaped = NewStandin {
        shape: Shape::AsValue,
        ..secret("C", &format!("ghp_{}", "z9".repeat(18)), &[])
    };
    let table = Standins::new(vec![shaped]).unwrap();
    assert!(table.tokens().all(|(_, token)| token.starts_with("ghp_") && token.len() == 40));
}

#[tokio::test]
async fn a_parameter_that_a_secret_names_is_a_place_and_the_rest_of_the_query_is_none() {
    let named = Place::Parameter("key".to_owned());
    let all = vec![secret("KEY", "plain-value", &[named]), secret("ANY", VALUE, &[Place::Query])];
    let bed = Bed::new(all);
    let site = bed.site(|_| ok("", "")).await;
    let (key, any) = (bed.token("KEY"), bed.token("ANY"));
    let heard = bed.ask(&site, &get(&format!("/a?x={any}&key={key}&y=1&key={any}"), "")).await;
    assert_eq!(heard.status(), "200", "{heard:?}");
    let coded = "va%2Flue%2Bof%20%22the%22%20key%3D1";
    let first = format!("GET /a?x={coded}&key=plain-value&y=1&key={coded} HTTP/1.1");
    assert!(site.heads()[0].starts_with(&first), "{:?}", site.heads());
    for target in [format!("/a?x={key}"), format!("/a?{key}"), format!("/a?key=&{key}=1")] {
        let heard = bed.ask(&site, &get(&target, "")).await;
        let message = "the placeholder of KEY can't be in the query; send it in the parameter key";
        assert!(heard.status() == "403" && heard.body().contains(message), "{heard:?}");
    }
    assert_eq!(site.heads().len(), 1);
}
