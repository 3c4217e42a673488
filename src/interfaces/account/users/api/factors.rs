//! `/api/v1/factors`: authenticator codes, recovery codes and passkeys, by the same rules as the page.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use app::{App, Who};
use crypto::password::Verdict;
use kernel::{Can, PasskeyId, Timestamp};
use store::{ReadExt, StoreError, WriteTx};
use web::error::ApiError;
use web::extract::{Json, Path};
use web::idempotency::NoKey;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use super::super::factors;
use super::super::pages::check_own;
use super::super::session::Caller;
use features::users::model::factors::{Passkey, PasskeyUse};
use features::users::queries;
use features::users::rules::{UsersError, factors as rules, passkeys};

const SECRET: &str = "the answer holds secrets, so a key is refused with 422";

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get(
            "/factors",
            list.needs(Can::Account).doc(|| Doc::new("Your sign-in methods").returns::<Factors>()),
        )
        .post(
            "/factors/totp",
            begin.needs(Can::Account).doc(|| {
                Doc::new("Start setting up an authenticator app; its secret is shown once")
                    .no_key(SECRET)
                    .returns::<Begun>()
                    .status(201)
            }),
        )
        .post(
            "/factors/totp/confirm",
            confirm.needs(Can::Account).doc(|| {
                Doc::new("Confirm it with its first code; gives the recovery codes, once")
                    .no_key(SECRET)
                    .body::<CodeBody>()
                    .returns::<Codes>()
            }),
        )
        .post(
            "/factors/totp/off",
            turn_off.needs(Can::Account).doc(|| {
                Doc::new("Turn off app codes; takes the password and a code")
                    .no_key("a repeat finds nothing to turn off")
                    .body::<SureBody>()
                    .returns::<Factors>()
            }),
        )
        .post(
            "/factors/recovery-codes",
            renew.needs(Can::Account).proved().doc(|| {
                Doc::new("Create recovery codes; they replace the old ones")
                    .no_key(SECRET)
                    .returns::<Codes>()
            }),
        )
        .patch(
            "/factors/passkeys/{id}",
            rename.needs(Can::Account).doc(|| {
                Doc::new("Rename a passkey")
                    .no_key("a repeat changes nothing anyway")
                    .body::<NameBody>()
                    .returns::<PasskeyView>()
            }),
        )
        .delete(
            "/factors/passkeys/{id}",
            remove.needs(Can::Account).proved().doc(|| {
                Doc::new("Remove a passkey")
                    .no_key("a repeat finds nothing to remove")
                    .returns::<PasskeyView>()
            }),
        )
}

/// What a person has besides the password.
#[derive(Serialize, JsonSchema)]
struct Factors {
    /// Since when codes from an app are asked for.
    #[schemars(with = "Option<String>")]
    totp_since: Option<Timestamp>,
    /// Whether an app waits for its first code.
    totp_begun: bool,
    /// How many recovery codes are left.
    recovery_codes: usize,
    passkeys: Vec<PasskeyView>,
}

#[derive(Serialize, JsonSchema)]
struct PasskeyView {
    id: PasskeyId,
    name: String,
    /// The host name that it is good for.
    host: String,
    #[schemars(with = "String")]
    created_at: Timestamp,
    #[schemars(with = "Option<String>")]
    last_used_at: Option<Timestamp>,
    /// What its counter said last.
    count: u32,
    /// Whether the counter ever went backwards, as that of a copied key does.
    may_be_copied: bool,
}

impl PasskeyView {
    fn of(key: Passkey, used: Option<PasskeyUse>) -> Self {
        let created_at = key.created_at;
        Self {
            id: key.id,
            name: key.name,
            host: key.host,
            created_at,
            count: used.as_ref().map_or(0, |used| used.count),
            may_be_copied: used.as_ref().is_some_and(|used| used.regressed),
            last_used_at: used.map(|used| used.at).filter(|at| created_at < *at),
        }
    }
}

fn factors_of(app: &App, who: &Person) -> Result<Factors, ApiError> {
    let found = app.system.read(|snap| {
        let totp = queries::totp(snap, who.account)?;
        let keys = queries::passkeys(snap, who.account)?.into_iter();
        let view = |key: Passkey| {
            let used = queries::passkey_use(snap, key.id)?;
            Ok::<_, StoreError>(PasskeyView::of(key, used))
        };
        Ok::<_, StoreError>(Factors {
            totp_begun: totp.as_ref().is_some_and(|kept| kept.confirmed_at.is_none()),
            totp_since: totp.and_then(|kept| kept.confirmed_at),
            recovery_codes: queries::recovery_left(snap, who.account)?,
            passkeys: keys.map(view).collect::<Result<_, _>>()?,
        })
    });
    Ok(found?)
}

async fn list(app: App, who: Person) -> Result<Json<Factors>, ApiError> {
    Ok(Json(factors_of(&app, &who)?))
}

/// What the app has to know.
#[derive(Serialize, JsonSchema)]
struct Begun {
    /// The secret, to type.
    secret: String,
    /// The same as an `otpauth:` address, for a QR code.
    address: String,
}

async fn begin(app: App, who: Person, _: NoKey) -> Result<Response, ApiError> {
    let (account, sealed) = (who.account, factors::fresh(&app, who.account));
    let write = move |tx: &mut WriteTx<'_>| rules::begin_totp(tx, account, sealed);
    app.system.write(who.actor(), who.cause(), write).await?;
    let kept = app.system.read(|snap| queries::totp(snap, account))?;
    let kept = kept.ok_or(UsersError::NotFound("set-up of an app"))?;
    let secret = factors::open(&app, &kept)?;
    let begun = Begun {
        address: secret.address("HQ", &who.email).to_string(),
        secret: secret.text().to_string(),
    };
    Ok((StatusCode::CREATED, Json(begun)).into_response())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CodeBody {
    /// What the app shows now.
    code: String,
}

/// Recovery codes; each replaces a code from the app once.
#[derive(Serialize, JsonSchema)]
struct Codes {
    recovery_codes: Vec<String>,
}

impl Codes {
    fn of(codes: &[Zeroizing<String>]) -> Json<Self> {
        Json(Self { recovery_codes: codes.iter().map(|code| code.to_string()).collect() })
    }
}

async fn confirm(
    app: App,
    who: Person,
    caller: Caller,
    _: NoKey,
    Json(body): Json<CodeBody>,
) -> Result<Json<Codes>, ApiError> {
    Ok(Codes::of(&factors::confirm(&app, &who, caller.sign_in(), &body.code).await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SureBody {
    password: String,
    /// A code from the app, or a recovery code.
    code: String,
}

async fn turn_off(
    app: App,
    who: Person,
    caller: Caller,
    Json(body): Json<SureBody>,
) -> Result<Json<Factors>, ApiError> {
    if check_own(&app, &caller, Zeroizing::new(body.password)).await? == Verdict::Wrong {
        return Err(UsersError::field("password", "wrong password").into());
    }
    factors::check(&app, who.account, &body.code, (who.actor(), who.cause())).await?;
    let (account, keep) = (who.account, caller.sign_in());
    let write = move |tx: &mut WriteTx<'_>| rules::drop_totp(tx, account, keep);
    app.system.write(who.actor(), who.cause(), write).await?;
    Ok(Json(factors_of(&app, &who)?))
}

async fn renew(app: App, who: Person, _: NoKey) -> Result<Json<Codes>, ApiError> {
    let account = who.account;
    let (codes, hashes) = factors::recovery_codes();
    let write = move |tx: &mut WriteTx<'_>| rules::renew_recovery(tx, account, hashes);
    app.system.write(who.actor(), who.cause(), write).await?;
    Ok(Codes::of(&codes))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NameBody {
    name: String,
}

async fn rename(
    app: App,
    who: Person,
    Path(id): Path<PasskeyId>,
    Json(body): Json<NameBody>,
) -> Result<Json<PasskeyView>, ApiError> {
    let account = who.account;
    let write = move |tx: &mut WriteTx<'_>| passkeys::rename(tx, account, id, &body.name);
    let now = app.system.write(who.actor(), who.cause(), write).await?;
    let used = app.system.read(|snap| snap.get::<PasskeyUse>(id))?;
    Ok(Json(PasskeyView::of(now, used)))
}

async fn remove(
    app: App,
    who: Person,
    Path(id): Path<PasskeyId>,
) -> Result<Json<PasskeyView>, ApiError> {
    let account = who.account;
    let write = move |tx: &mut WriteTx<'_>| passkeys::remove(tx, account, id);
    let gone = app.system.write(who.actor(), who.cause(), write).await?;
    Ok(Json(PasskeyView::of(gone, None)))
}
