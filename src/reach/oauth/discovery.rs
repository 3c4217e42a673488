//! Metadata of the server (RFC 9728) and of its authorization server (RFC 8414, OpenID Connect Discovery).

use serde_json::Value;
use url::Url;

use super::wire::{Fault, Wire, host_of, place};

/// Most entries of a list that are read, and their greatest length.
const MAX_ENTRIES: usize = 200;
const MAX_ENTRY: usize = 500;

/// Metadata of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Identifier of the server in requests for tokens (RFC 8707).
    pub id: String,
    pub issuers: Vec<String>,
    pub scopes: Vec<String>,
}

/// Metadata of an authorization server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    pub issuer: String,
    pub authorization: String,
    pub token: String,
    pub registration: Option<String>,
    pub revocation: Option<String>,
    /// It names itself in the responses to the browser (RFC 9207).
    pub has_iss: bool,
    /// It reads Client ID Metadata Documents.
    pub reads_documents: bool,
    /// Ways of client authentication at the token endpoint; empty if the metadata has none.
    pub methods: Vec<String>,
    pub scopes: Vec<String>,
}

fn text(value: &Value, key: &str) -> Option<String> {
    let text = value.get(key)?.as_str()?.trim();
    (!text.is_empty() && text.len() <= 4 * MAX_ENTRY).then(|| text.to_owned())
}

fn list(value: &Value, key: &str) -> Vec<String> {
    let all = value.get(key).and_then(Value::as_array).into_iter().flatten();
    let texts = all.filter_map(Value::as_str).filter(|text| text.len() <= MAX_ENTRY);
    texts.take(MAX_ENTRIES).map(str::to_owned).collect()
}

/// The well-known address, with the path of `of` behind the name.
fn inserted(of: &Url, name: &str) -> String {
    let path = of.path().trim_end_matches('/');
    format!("{}/.well-known/{name}{path}", of.origin().ascii_serialization())
}

/// Reads the metadata of a server: from the place that its challenge names, else from the usual ones. A server without
/// metadata is its own authorization server, as in the first version of the protocol with sign-ins.
pub async fn resource(wire: &Wire, server: &Url, named: &str) -> Result<Resource, Fault> {
    const NAME: &str = "oauth-protected-resource";
    let mut places = match named {
        "" => {
            let root = format!("{}/.well-known/{NAME}", server.origin().ascii_serialization());
            vec![inserted(server, NAME), root]
        }
        named => vec![named.to_owned()],
    };
    places.dedup();
    for url in &places {
        let Some(found) = wire.document(url).await? else { continue };
        let id = text(&found, "resource").unwrap_or_default();
        if !covers(&id, server) {
            return Err(Fault::Failed(format!(
                "the metadata of {} is for another address, {}",
                host_of(server),
                super::wire::shown(&id, "")
            )));
        }
        let issuers = list(&found, "authorization_servers");
        if issuers.is_empty() {
            let text = format!("the metadata of {} names no authorization server", host_of(server));
            return Err(Fault::Failed(text));
        }
        return Ok(Resource { id, issuers, scopes: list(&found, "scopes_supported") });
    }
    if !named.is_empty() {
        return Err(Fault::Failed(format!("{} has no metadata where it says", host_of(server))));
    }
    let mut id = server.clone();
    id.set_fragment(None);
    let issuers = vec![server.origin().ascii_serialization()];
    Ok(Resource { id: id.into(), issuers, scopes: Vec::new() })
}

/// Whether a resource identifier is the server's address or one above it at the same origin.
fn covers(id: &str, server: &Url) -> bool {
    let Ok(id) = Url::parse(id) else { return false };
    let (above, path) = (id.path().trim_end_matches('/'), server.path());
    let rest = path.strip_prefix(above);
    id.origin() == server.origin()
        && id.fragment().is_none()
        && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Compares the names of two issuers. Programs disagree about the slash behind a host.
pub fn is_same_issuer(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}

/// Reads the metadata of an authorization server from the three usual places.
pub async fn issuer(wire: &Wire, issuer: &str) -> Result<Issuer, Fault> {
    let url = place(issuer)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Fault::Failed(format!("the name of the issuer {} is invalid", host_of(&url))));
    }
    let path = url.path().trim_end_matches('/');
    let mut places =
        vec![inserted(&url, "oauth-authorization-server"), inserted(&url, "openid-configuration")];
    if !path.is_empty() {
        let origin = url.origin().ascii_serialization();
        places.push(format!("{origin}{path}/.well-known/openid-configuration"));
    }
    for place in places {
        if let Some(found) = wire.document(&place).await? {
            return read(&found, issuer, &host_of(&url));
        }
    }
    Err(Fault::Failed(format!("{} has no metadata of an authorization server", host_of(&url))))
}

fn read(found: &Value, issuer: &str, host: &str) -> Result<Issuer, Fault> {
    let wrong = |what: &str| Err(Fault::Failed(format!("{host} {what}")));
    let named = text(found, "issuer").unwrap_or_default();
    if !is_same_issuer(&named, issuer) {
        let named = super::wire::shown(&named, "");
        return wrong(&format!("says that it is another issuer, {named}"));
    }
    if !list(found, "code_challenge_methods_supported").iter().any(|method| method == "S256") {
        return wrong("doesn’t support PKCE with S256, without which a sign-in isn’t safe");
    }
    let types = list(found, "response_types_supported");
    if !types.is_empty() && !types.iter().any(|kind| kind == "code") {
        return wrong("offers no sign-in with a code");
    }
    let endpoint = |key: &str| match text(found, key) {
        Some(url) => place(&url).map(|url| Some(url.into())),
        None => Ok(None),
    };
    let (authorization, token) = (endpoint("authorization_endpoint")?, endpoint("token_endpoint")?);
    let (Some(authorization), Some(token)) = (authorization, token) else {
        return wrong("doesn’t say where to sign in");
    };
    let is = |key: &str| found.get(key).and_then(Value::as_bool).unwrap_or(false);
    Ok(Issuer {
        issuer: named,
        authorization,
        token,
        registration: endpoint("registration_endpoint")?,
        revocation: endpoint("revocation_endpoint")?,
        has_iss: is("authorization_response_iss_parameter_supported"),
        reads_documents: is("client_id_metadata_document_supported"),
        methods: list(found, "token_endpoint_auth_methods_supported"),
        scopes: list(found, "scopes_supported"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use url::Url;

    use super::{covers, inserted, read};

    #[test]
    fn metadata_is_for_the_server_or_what_is_above_it() {
        let server = Url::parse("https://a.example/team/mcp").unwrap();
        for good in ["https://a.example/team/mcp", "https://a.example/team/", "https://a.example"] {
            assert!(covers(good, &server), "{good}");
        }
        for bad in
            ["https://a.example/te", "https://b.example/team/mcp", "http://a.example", "", "x"]
        {
            assert!(!covers(bad, &server), "{bad}");
        }
    }

    #[test]
    fn the_path_follows_the_well_known_name() {
        let at = |url: &str| inserted(&Url::parse(url).unwrap(), "n");
        assert_eq!(at("https://a.example:8/x/y/"), "https://a.example:8/.well-known/n/x/y");
        assert_eq!(at("https://a.example/"), "https://a.example/.well-known/n");
    }

    #[test]
    fn an_issuer_that_cannot_be_trusted_is_refused() {
        let whole = json!({
            "issuer": "https://a.example/",
            "authorization_endpoint": "https://a.example/authorize",
            "token_endpoint": "https://a.example/token",
            "code_challenge_methods_supported": ["S256"],
        });
        let with = |key: &str, value: Value| {
            let mut changed = whole.clone();
            changed[key] = value;
            read(&changed, "https://a.example", "a.example")
        };
        assert!(with("x", Value::Null).is_ok());
        for (key, value) in [
            ("issuer", json!("https://b.example")),
            ("code_challenge_methods_supported", json!(["plain"])),
            ("code_challenge_methods_supported", Value::Null),
            ("token_endpoint", json!("http://a.example/token")),
            ("authorization_endpoint", json!("javascript:alert(1)")),
            ("authorization_endpoint", Value::Null),
            ("response_types_supported", json!(["token"])),
        ] {
            assert!(with(key, value.clone()).is_err(), "{key} {value}");
        }
    }
}
