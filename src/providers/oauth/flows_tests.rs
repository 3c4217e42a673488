//! Vendor responses, as sent by a scripted server.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{Endpoints, Vendor};
use super::*;
use kernel::time::ManualClock;
use loopback::{answer, serving};
use net::client::ClientParts;

fn client(vendor: Vendor, server: &str) -> Client {
    let at = |path: &str| format!("{server}{path}");
    let endpoints = Endpoints {
        authorize: at("/authorize"),
        token: at("/token"),
        device: at("/device"),
        exchange: at("/exchange"),
        redirect: "http://localhost:1455/auth/callback".into(),
    };
    Client { vendor, id: "client-1".into(), integration: Some("ours".into()), endpoints }
}

/// Sends a request to a server with this response. Also returns the request.
async fn request<T>(
    status: &str,
    body: &Value,
    ask: impl AsyncFnOnce(OauthFlow<'_>) -> Result<T, AuthError>,
) -> (Result<T, AuthError>, String) {
    let seen = parking_lot::Mutex::new(String::new());
    let script = |request: &str| {
        request.clone_into(&mut seen.lock());
        answer(status, "content-type: application/json\r\n", body.to_string())
    };
    let result = serving(script, async |address| {
        let http = HttpClient::new(ClientParts::default());
        let clock = ManualClock::at(kernel::time::from_ms(1_000_000));
        let client = client(Vendor::Copilot, &format!("http://{address}"));
        ask(OauthFlow { http: &http, clock: &clock, client: &client }).await
    });
    let result = result.await;
    let seen = seen.lock().clone();
    (result, seen)
}

fn tokens() -> Tokens {
    let answer = json!({ "access_token": "access-secret", "refresh_token": "refresh-secret" });
    Tokens::read(&answer, 0, None).expect("tokens")
}

#[tokio::test]
async fn a_code_of_a_browser_becomes_tokens() {
    let body = json!({ "access_token": "at", "refresh_token": "rt", "expires_in": 60 });
    let (got, seen) =
        request("200 OK", &body, async |oauth| oauth.exchange("c+1", "v").await).await;
    assert_eq!(got.expect("tokens").life.until, Some(1_060_000));
    assert!(seen.starts_with("POST /token "), "{seen}");
    let form = seen.split("\r\n\r\n").nth(1).expect("a body");
    for part in [
        "grant_type=authorization_code",
        "client_id=client-1",
        "code=c%2B1",
        "code_verifier=v",
        "redirect_uri=http%3A%2F%2Flocalhost%3A1455%2Fauth%2Fcallback",
    ] {
        assert!(form.contains(part), "{part}: {form}");
    }
}

#[tokio::test]
async fn a_code_to_type_has_usual_times_and_a_link() {
    let body = json!({ "device_code": "d", "user_code": "ABCD-1234",
        "verification_uri": "https://github.com/login/device", "expires_in": 600, "interval": 7 });
    let (got, seen) = request("200 OK", &body, async |oauth| oauth.device().await).await;
    let got = got.expect("a code");
    assert_eq!((got.user_code.as_str(), got.life, got.pause), ("ABCD-1234", 600, 7));
    assert!(seen.contains("scope=read%3Auser"), "{seen}");
    let script =
        json!({ "device_code": "d", "user_code": "A", "verification_uri": "javascript:x" });
    let (got, _) = request("200 OK", &script, async |oauth| oauth.device().await).await;
    assert_eq!(got.expect_err("no link").failure, Failure::Passing);
}

#[tokio::test]
async fn every_answer_to_a_question_has_its_meaning() {
    for (status, body, failure) in [
        ("200 OK", json!({ "error": "authorization_pending" }), Failure::Pending),
        ("400 Bad Request", json!({ "error": "authorization_pending" }), Failure::Pending),
        ("200 OK", json!({ "error": "slow_down", "interval": 9 }), Failure::SlowDown(Some(9))),
        ("200 OK", json!({ "error": "access_denied" }), Failure::Denied),
        ("200 OK", json!({ "error": "expired_token" }), Failure::Expired),
        ("400 Bad Request", json!({ "error": "invalid_grant" }), Failure::Revoked),
        (
            "401 Unauthorized",
            json!({ "error": { "code": "refresh_token_reused" } }),
            Failure::Revoked,
        ),
        ("401 Unauthorized", json!({ "message": "Bad credentials" }), Failure::Revoked),
        ("401 Unauthorized", json!({ "error": "invalid_client" }), Failure::Refused),
        ("403 Forbidden", json!({ "message": "no subscription" }), Failure::Refused),
        ("429 Too Many Requests", json!({ "error": "invalid_grant" }), Failure::Passing),
        ("503 Service Unavailable", json!({}), Failure::Passing),
        ("200 OK", json!({}), Failure::Passing),
        ("200 OK", json!("words"), Failure::Passing),
    ] {
        let (got, _) =
            request(status, &body, async |oauth| oauth.poll("device-secret").await).await;
        assert_eq!(got.expect_err("no tokens").failure, failure, "{status} {body}");
    }
}

#[tokio::test]
async fn no_secret_comes_back_in_what_is_said() {
    let body = json!({ "error": "invalid_grant",
        "error_description": "refresh-secret of access-secret\nis not known" });
    let (got, _) =
        request("400 Bad Request", &body, async |oauth| oauth.refresh(&tokens()).await).await;
    assert_eq!(got.expect_err("a refusal").message, "… of … is not known");
}

#[tokio::test]
async fn a_short_token_is_had_for_the_long_one() {
    let body = json!({ "token": "tid=1", "refresh_in": 1_500, "expires_at": 5,
        "endpoints": { "api": "https://api.business.example" } });
    let (got, seen) = request("200 OK", &body, async |oauth| oauth.pass(&tokens()).await).await;
    assert_eq!(got.expect("a pass").base.as_deref(), Some("https://api.business.example"));
    assert!(seen.starts_with("GET /exchange "), "{seen}");
    for header in ["authorization: token access-secret", "copilot-integration-id: ours"] {
        assert!(seen.contains(header), "{header}: {seen}");
    }
}

#[test]
fn pauses_grow_and_end() {
    let pauses: Vec<u64> = (1..10).map(|n| pause(n, None).as_secs()).collect();
    assert_eq!(pauses, [15, 30, 60, 120, 240, 480, 600, 600, 600]);
    assert_eq!(pause(1, Some(Duration::from_secs(90))).as_secs(), 90);
    assert_eq!(pause(1, Some(Duration::from_secs(90_000))).as_secs(), 600);
}
