//! The mail server of a workspace below `/api/v1`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::notifications::model::sending::{MAIL_PASSWORD, MailSecrecy, MailSettings};
use features::notifications::queries::sending as reading;
use features::notifications::rules::sending as rules;
use features::notifications::sending::letters;
use kernel::Can;
use store::StoreError;
use web::error::ApiError;
use web::extract::Json;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

/// Default port.
pub(in crate::notifications) const USUAL_PORT: u16 = 465;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/settings/mail",
            show.needs(Can::Admin)
                .doc(|| Doc::new("The mail server for outgoing email").returns::<View>()),
        )
        .put(
            "/settings/mail",
            save.needs(Can::Admin).proved().doc(|| {
                Doc::new("Set the mail server; the password is sealed and never shown")
                    .body::<Body>()
                    .returns::<View>()
            }),
        )
        .delete(
            "/settings/mail",
            remove.needs(Can::Admin).doc(|| Doc::new("Remove the mail server").returns::<View>()),
        )
        .post(
            "/settings/mail/test",
            test.needs(Can::Admin).doc(|| {
                Doc::new("Send yourself a test email, and report whether the server accepted it")
                    .returns::<Tried>()
                    .no_key("each request sends an email")
            }),
        )
}

/// The mail server, or that there is none.
#[derive(Serialize, JsonSchema)]
struct View {
    /// Whether letters are sent at all.
    set_up: bool,
    host: String,
    port: u16,
    secrecy: MailSecrecy,
    /// The name that the server knows HQ by, or nothing.
    user: String,
    /// From whom letters are.
    from: String,
    /// Whether a password is kept for it.
    has_password: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Body {
    host: String,
    /// 465 unless said otherwise.
    port: Option<u16>,
    #[serde(default)]
    secrecy: MailSecrecy,
    #[serde(default)]
    user: String,
    from: String,
    /// What is not sent stays as it is; that of another server or name goes.
    password: Option<String>,
}

/// What became of a test.
#[derive(Serialize, JsonSchema)]
struct Tried {
    /// Where the letter went.
    to: String,
    /// Whether the server took it.
    sent: bool,
    /// Why it did not.
    error: Option<String>,
}

fn view(ws: &Ws) -> Result<View, StoreError> {
    let (found, secret) = ws.read(|snap| {
        Ok::<_, StoreError>((reading::mail(snap)?, reading::secret(snap, MAIL_PASSWORD)?))
    })?;
    let set_up = found.is_some();
    let MailSettings { host, port, secrecy, user, from } = found.unwrap_or_default();
    Ok(View { set_up, host, port, secrecy, user, from, has_password: secret.is_some() })
}

async fn show(ws: Ws) -> Result<Json<View>, ApiError> {
    Ok(Json(view(&ws)?))
}

async fn save(ws: Ws, who: Person, Json(body): Json<Body>) -> Result<Json<View>, ApiError> {
    let password = body.password.as_deref().filter(|text| !text.is_empty());
    let sealed = password.map(|text| letters::seal(&ws, text));
    let new = MailSettings {
        host: body.host,
        port: body.port.unwrap_or(USUAL_PORT),
        secrecy: body.secrecy,
        user: body.user,
        from: body.from,
    };
    ws.write(&who, move |tx| rules::set_mail(tx, new, sealed)).await?;
    Ok(Json(view(&ws)?))
}

async fn remove(ws: Ws, who: Person) -> Result<Json<View>, ApiError> {
    ws.write(&who, rules::drop_mail).await?;
    Ok(Json(view(&ws)?))
}

async fn test(ws: Ws, who: Person) -> Json<Tried> {
    let error = letters::test(&ws, &who.email).await.err().map(|(why, _)| why);
    Json(Tried { to: who.email, sent: error.is_none(), error })
}
