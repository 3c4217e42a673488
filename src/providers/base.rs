//! Normalizes base URLs as people type them, and identifies the server.

use url::{Host, Url};

/// Wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wire {
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI-compatible Chat Completions.
    OpenAiChat,
    /// OpenAI Responses.
    OpenAiResponses,
    /// Gemini's native protocol.
    Gemini,
    /// Ollama's native protocol.
    Ollama,
}

/// Kind of server, as far as the address reveals it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Server {
    /// api.anthropic.com.
    Anthropic,
    /// api.openai.com.
    OpenAi,
    /// Azure's OpenAI.
    Azure,
    /// openrouter.ai.
    OpenRouter,
    /// api.deepseek.com.
    DeepSeek,
    /// api.groq.com.
    Groq,
    /// api.mistral.ai.
    Mistral,
    /// api.x.ai.
    XAi,
    /// Google's compatible endpoint.
    Google,
    /// Moonshot (Kimi).
    Moonshot,
    Ollama,
    LmStudio,
    /// vLLM or llama.cpp on its default port.
    Vllm,
    /// The endpoint of ChatGPT subscriptions.
    ChatGpt,
    /// GitHub Copilot.
    Copilot,
    /// Any other server.
    Other,
}

impl Server {
    /// Price of a priority call in percent of a normal one; `None` if there are no priority calls or none are known.
    #[must_use]
    pub fn fast_percent(self) -> Option<u32> {
        match self {
            // The highest surcharge of its models.
            Self::OpenAi => Some(200),
            // Uses prepaid capacity, where available.
            Self::Anthropic => Some(100),
            _ => None,
        }
    }
}

/// A usable base URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// URL without a trailing slash.
    pub url: String,
    /// Kind of server.
    pub server: Server,
    /// Whether the address is on this machine or a private network, where models have no price per token and may take
    /// long to load.
    pub private: bool,
}

impl Base {
    /// The URL of a path below the base.
    #[must_use]
    pub fn join(&self, path: &str) -> String {
        format!("{}/{}", self.url, path.trim_start_matches('/'))
    }
}

/// A base URL that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BaseError {
    /// Empty, and the wire format has no default.
    #[error("enter the server's address, such as http://127.0.0.1:11434")]
    Empty,
    #[error("`{0}` isn't an address; enter it like https://api.example.com/v1")]
    NotAnAddress(String),
    /// Neither http nor https.
    #[error("use an http:// or https:// address, not {0}://")]
    Scheme(String),
    /// Contains a user name or password.
    #[error("leave user and password out of the address; use the key field")]
    Credentials,
    /// Contains a query or fragment.
    #[error("remove ? or # and everything after it from the address")]
    Query,
    /// Ollama's compatible endpoint, which loses tool calls and truncates conversations.
    #[error(
        "enter Ollama's address without {0}, such as http://127.0.0.1:11434; its compatible \
            endpoint loses tool calls"
    )]
    Compatible(String),
}

const DEFAULT_ANTHROPIC: &str = "https://api.anthropic.com";
const DEFAULT_OPENAI: &str = "https://api.openai.com/v1";
const DEFAULT_GEMINI: &str = "https://generativelanguage.googleapis.com";
const DEFAULT_OLLAMA: &str = "http://127.0.0.1:11434";

/// Paths that people copy along with the address.
const TAILS: &[&str] = &[
    "/chat/completions",
    "/completions",
    "/responses",
    "/models",
    "/messages",
    "/api/chat",
    "/api/generate",
    "/api/tags",
    "/api/show",
];

/// Normalizes a typed base URL. Empty text means the vendor's own server.
///
/// # Errors
/// If it is not an http(s) URL, or contains more than an address.
pub fn normalise(wire: Wire, input: &str) -> Result<Base, BaseError> {
    let input = input.trim();
    let input = match (input.is_empty(), wire) {
        (true, Wire::Anthropic) => DEFAULT_ANTHROPIC,
        (true, Wire::OpenAiChat | Wire::OpenAiResponses) => DEFAULT_OPENAI,
        (true, Wire::Gemini) => DEFAULT_GEMINI,
        (true, Wire::Ollama) => DEFAULT_OLLAMA,
        (false, _) => input,
    };
    let url = usable(input)?;
    let private = is_private(&url);
    // A server with Ollama's native protocol is Ollama, on whatever port.
    let server = match (server(&url), wire) {
        (Server::Other | Server::Vllm | Server::LmStudio, Wire::Ollama) => Server::Ollama,
        (server, _) => server,
    };
    let mut path = url.path().trim_end_matches('/').to_owned();
    for tail in TAILS {
        if let Some(rest) = path.strip_suffix(tail) {
            path = rest.trim_end_matches('/').to_owned();
            break;
        }
    }
    let path = match wire {
        Wire::Anthropic => path.strip_suffix("/v1").unwrap_or(&path).to_owned(),
        Wire::OpenAiChat | Wire::OpenAiResponses => openai_path(server, &path),
        Wire::Gemini => gemini_path(&path).to_owned(),
        Wire::Ollama => ollama_path(&path)?,
    };
    let origin = url.origin().ascii_serialization();
    Ok(Base { url: format!("{origin}{path}"), server, private })
}

/// A base URL of a known server, used without changes to its path.
///
/// # Errors
/// If it is not an http(s) URL, or contains more than an address.
pub fn exact(input: &str, server: Server) -> Result<Base, BaseError> {
    let input = input.trim();
    if input.is_empty() {
        return Err(BaseError::Empty);
    }
    let url = usable(input)?;
    let path = url.path().trim_end_matches('/');
    let private = is_private(&url);
    Ok(Base { url: format!("{}{path}", url.origin().ascii_serialization()), server, private })
}

fn usable(input: &str) -> Result<Url, BaseError> {
    let url = parse(input)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(BaseError::Scheme(url.scheme().to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BaseError::Credentials);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(BaseError::Query);
    }
    Ok(url)
}

fn openai_path(server: Server, path: &str) -> String {
    let usual = match server {
        Server::OpenRouter => "/api/v1",
        Server::Groq => "/openai/v1",
        Server::Azure => "/openai/v1",
        Server::Google => "/v1beta/openai",
        _ => "/v1",
    };
    match (server, path) {
        (_, "") => usual.to_owned(),
        // Ollama's native protocol is below /api; the compatible one is not.
        (Server::Ollama | Server::LmStudio, "/api" | "/api/v0" | "/api/v1") => usual.to_owned(),
        (Server::OpenRouter, "/api") | (Server::Groq | Server::Azure, "/openai") => {
            usual.to_owned()
        }
        (Server::Google, "/v1beta" | "/v1") => usual.to_owned(),
        (_, path) => path.to_owned(),
    }
}

/// The path before the version, because request paths contain the version.
fn gemini_path(path: &str) -> &str {
    let end = ["/v1beta", "/v1"].iter().find_map(|version| {
        let at = path.find(version)?;
        path[at + version.len()..]
            .starts_with('/')
            .then_some(at)
            .or_else(|| (at + version.len() == path.len()).then_some(at))
    });
    &path[..end.unwrap_or(path.len())]
}

fn ollama_path(path: &str) -> Result<String, BaseError> {
    if path == "/v1" || path.ends_with("/v1") {
        return Err(BaseError::Compatible("/v1".to_owned()));
    }
    Ok(path.strip_suffix("/api").unwrap_or(path).to_owned())
}

fn parse(input: &str) -> Result<Url, BaseError> {
    let bad = || BaseError::NotAnAddress(input.to_owned());
    if input.contains("://") {
        return Url::parse(input).map_err(|_| bad());
    }
    // Default scheme: http for this machine and private networks, otherwise https.
    let plain = Url::parse(&format!("http://{input}")).map_err(|_| bad())?;
    if is_private(&plain) {
        return Ok(plain);
    }
    let safe = Url::parse(&format!("https://{input}")).map_err(|_| bad())?;
    match safe.domain() {
        Some(domain) if domain.contains('.') => Ok(safe),
        Some(_) => Err(bad()),
        None => Ok(safe),
    }
}

fn server(url: &Url) -> Server {
    let host = url.host_str().unwrap_or("");
    let is = |domain: &str| host == domain || host.ends_with(&format!(".{domain}"));
    match () {
        () if is("anthropic.com") => Server::Anthropic,
        () if is("openai.com") => Server::OpenAi,
        () if is("openai.azure.com") || is("services.ai.azure.com") => Server::Azure,
        () if is("openrouter.ai") => Server::OpenRouter,
        () if is("deepseek.com") => Server::DeepSeek,
        () if is("groq.com") => Server::Groq,
        () if is("mistral.ai") => Server::Mistral,
        () if is("x.ai") => Server::XAi,
        () if is("googleapis.com") => Server::Google,
        () if is("moonshot.ai") || is("moonshot.cn") => Server::Moonshot,
        () if is("ollama.com") => Server::Ollama,
        () => match url.port() {
            Some(11_434) => Server::Ollama,
            Some(1_234) => Server::LmStudio,
            Some(8_000 | 8_080) if is_private(url) => Server::Vllm,
            _ => Server::Other,
        },
    }
}

fn is_private(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => {
            let [a, b, ..] = ip.octets();
            // 100.64.0.0/10 is used by overlay networks.
            ip.is_loopback()
                || ip.is_private()
                || ip.is_link_local()
                || (a == 100 && (64..=127).contains(&b))
        }
        Some(Host::Ipv6(ip)) => {
            ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()
        }
        Some(Host::Domain(name)) => {
            let tails = [".localhost", ".local", ".lan", ".internal", ".home.arpa"];
            name == "localhost"
                || tails.iter().any(|t| name.ends_with(t))
                || (!name.contains('.') && url.port().is_some())
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn openai(input: &str) -> String {
        normalise(Wire::OpenAiChat, input).map_or_else(|e| e.to_string(), |b| b.url)
    }

    #[test]
    fn whatever_people_type_becomes_the_base() {
        for (input, url) in [
            ("", "https://api.openai.com/v1"),
            ("api.openai.com", "https://api.openai.com/v1"),
            ("https://api.openai.com/", "https://api.openai.com/v1"),
            ("https://api.openai.com/v1/chat/completions", "https://api.openai.com/v1"),
            ("http://localhost:11434", "http://localhost:11434/v1"),
            ("localhost:11434", "http://localhost:11434/v1"),
            ("http://192.168.1.7:11434/api/chat", "http://192.168.1.7:11434/v1"),
            ("http://host:11434/api", "http://host:11434/v1"),
            ("ollama:11434/v1/", "http://ollama:11434/v1"),
            ("127.0.0.1:1234", "http://127.0.0.1:1234/v1"),
            ("http://gpu.lan:8000/v1/models", "http://gpu.lan:8000/v1"),
            ("[::1]:8000", "http://[::1]:8000/v1"),
            ("openrouter.ai", "https://openrouter.ai/api/v1"),
            ("https://openrouter.ai/api", "https://openrouter.ai/api/v1"),
            ("https://api.groq.com", "https://api.groq.com/openai/v1"),
            (
                "https://generativelanguage.googleapis.com",
                "https://generativelanguage.googleapis.com/v1beta/openai",
            ),
            ("https://api.deepseek.com", "https://api.deepseek.com/v1"),
            (
                "https://llm.example.com/gateway/openai/v1",
                "https://llm.example.com/gateway/openai/v1",
            ),
        ] {
            assert_eq!(openai(input), url, "{input}");
        }
    }

    #[test]
    fn anthropic_paths_are_joined_once() {
        for input in [
            "",
            "api.anthropic.com",
            "https://api.anthropic.com/v1",
            "https://api.anthropic.com/v1/messages/",
        ] {
            let base = normalise(Wire::Anthropic, input).expect("an address");
            assert_eq!(
                base.join("/v1/messages"),
                "https://api.anthropic.com/v1/messages",
                "{input}"
            );
            assert_eq!(base.server, Server::Anthropic);
        }
        let proxy =
            normalise(Wire::Anthropic, "https://api.deepseek.com/anthropic").expect("an address");
        assert_eq!(proxy.join("v1/messages"), "https://api.deepseek.com/anthropic/v1/messages");
    }

    #[test]
    fn responses_gemini_and_ollama_have_their_own_bases() {
        let url = |wire, input| normalise(wire, input).map_or_else(|e| e.to_string(), |b| b.url);
        for input in ["", "api.openai.com/v1/responses", "https://api.openai.com"] {
            assert_eq!(url(Wire::OpenAiResponses, input), "https://api.openai.com/v1", "{input}");
        }
        for input in [
            "",
            "generativelanguage.googleapis.com",
            "https://generativelanguage.googleapis.com/v1beta",
            "https://generativelanguage.googleapis.com/v1beta/models/gemini-3.8-flash",
        ] {
            let wanted = "https://generativelanguage.googleapis.com";
            assert_eq!(url(Wire::Gemini, input), wanted, "{input}");
        }
        assert_eq!(
            url(Wire::Gemini, "https://proxy.example/google"),
            "https://proxy.example/google"
        );
        for input in
            ["", "127.0.0.1:11434", "http://127.0.0.1:11434/api", "127.0.0.1:11434/api/chat"]
        {
            assert_eq!(url(Wire::Ollama, input), "http://127.0.0.1:11434", "{input}");
        }
        let other = normalise(Wire::Ollama, "box.lan:8080").expect("an address");
        assert_eq!((other.server, other.private), (Server::Ollama, true));
        for input in
            ["localhost:11434/v1", "http://localhost:11434/v1/chat/completions", "h.lan/x/v1/"]
        {
            assert!(url(Wire::Ollama, input).contains("loses tool calls"), "{input}");
        }
    }

    #[test]
    fn an_exact_base_keeps_its_path() {
        let url = |input| exact(input, Server::Copilot).map_or_else(|e| e.to_string(), |b| b.url);
        assert_eq!(url("https://api.example.com"), "https://api.example.com");
        assert_eq!(url("https://chat.example.com/a/b/"), "https://chat.example.com/a/b");
        assert!(url(" ").contains("enter the server's address"));
        assert!(url("https://a.example?x").contains('?'));
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        assert!(openai("ftp://host/v1").contains("ftp://"));
        assert!(openai("https://me:secret@host.example/v1").contains("use the key field"));
        assert!(openai("https://host.example/v1?x=1").contains('?'));
        assert!(openai("not a url").contains("isn't an address"));
        assert!(openai("word").contains("isn't an address"));
    }

    #[test]
    fn private_addresses_are_known() {
        for (input, private) in [
            ("localhost:11434", true),
            ("10.0.0.2:8000", true),
            ("100.100.3.4:11434", true),
            ("box.local", true),
            ("api.openai.com", false),
            ("8.8.8.8", false),
            ("100.128.0.1", false),
        ] {
            assert_eq!(
                normalise(Wire::OpenAiChat, input).expect("an address").private,
                private,
                "{input}"
            );
        }
    }
}
