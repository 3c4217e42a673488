//! An invitation for a mail address is mailed if the workspace has a mail server.

use std::sync::atomic::Ordering;

use super::out::MailStandIn;
use super::*;
use support::hq::Setup;

const INVITES: &str = "/api/v1/invites";
const FORM: &str = "/w/marlow-cargo/settings/invites";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_with_an_address_is_emailed_and_a_failure_is_reported() {
    let public = |config: &mut app::config::Config| {
        config.public_url = Some("http://hq.marlow.example".to_owned());
    };
    let hq = Setup::default().config(public).start().await;
    let owner = hq.owner();
    let bound = json!({ "role": "member", "email": "kim@marlow.example" });
    let made = owner.post(INVITES, &bound).await.json();
    assert_eq!(made["emailed"], false, "there is no mail server yet: {made}");

    let mut mail = MailStandIn::start().await;
    mail.introduce(&hq).await;
    let made = owner.post(INVITES, &bound).await.json();
    assert_eq!(made["emailed"], true, "{made}");
    let letter = mail.next().await;
    let link = made["link"].as_str().expect("a link");
    assert!(letter.contains("To: kim@marlow.example"), "{letter}");
    assert!(letter.contains("Subject: Mira Lindqvist invited you to "), "{letter}");
    // Quoted-printable wraps long lines and encodes an equals sign as `=3D`.
    let body = letter.replace("=\r\n", "").replace("=3D", "=");
    assert!(body.contains(link), "{link} in {body}");

    let page = owner.form(FORM, &[("role", "viewer"), ("email", "lee@marlow.example")]).await;
    assert!(page.text.contains("The link is on its way by email."), "{}", page.text);
    assert!(mail.next().await.contains("To: lee@marlow.example"));

    let anybody = owner.post(INVITES, &json!({ "role": "viewer" })).await.json();
    assert_eq!(anybody["emailed"], false, "a link for anybody has no address: {anybody}");

    mail.busy.store(1, Ordering::SeqCst);
    let made = owner.post(INVITES, &bound).await.json();
    assert_eq!(made["emailed"], false, "{made}");
    assert!(made["email_error"].as_str().is_some_and(|why| why.contains("busy")), "{made}");
    assert!(made["link"].as_str().is_some_and(|link| link.contains("/join?")), "{made}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_only_this_machine_can_open_is_not_emailed() {
    let hq = TestHq::start().await;
    let mail = MailStandIn::start().await;
    mail.introduce(&hq).await;
    let bound = json!({ "role": "member", "email": "kim@marlow.example" });
    let made = hq.owner().post(INVITES, &bound).await.json();
    assert_eq!(made["emailed"], false, "{made}");
    assert!(
        made["email_error"].as_str().is_some_and(|why| why.contains("HQ_PUBLIC_URL")),
        "{made}"
    );
    hq.finish().await;
}
