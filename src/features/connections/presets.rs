//! Well-known providers, with what is needed to connect each.

use providers::base;
use providers::oauth::Vendor;

use super::model::Wire;

/// Whether a key is required.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyNeed {
    Needed,
    /// A self-hosted server may require one.
    Optional,
}

/// Groups of the provider list, in list order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Paid per use, with a key.
    Hosted,
    /// Paid by a plan, with a sign-in.
    Subscription,
    /// On a machine of the user.
    Local,
    /// Any address that speaks a known protocol.
    Compatible,
}

impl Group {
    pub const ALL: [Self; 4] = [Self::Hosted, Self::Subscription, Self::Local, Self::Compatible];

    /// Word in element ids.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Hosted => "hosted",
            Self::Subscription => "subscription",
            Self::Local => "local",
            Self::Compatible => "compatible",
        }
    }

    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Hosted => "Hosted",
            Self::Subscription => "Subscription",
            Self::Local => "Local",
            Self::Compatible => "Compatible servers",
        }
    }

    /// How providers of the group are connected, in one line.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::Hosted => "Pay per use with an API key",
            Self::Subscription => "Sign in with a plan you already have",
            Self::Local => "Models on your own machine or network",
            Self::Compatible => "Any other server or gateway, by its address",
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// Word in URLs.
    pub slug: &'static str,
    pub name: &'static str,
    pub group: Group,
    /// One line in the list.
    pub text: &'static str,
    /// Letters of its tile; unique in its group.
    pub mark: &'static str,
    /// Colour number of its tile.
    pub colour: u8,
    pub wire: Wire,
    /// Usual address; empty for the maker's own.
    pub address: &'static str,
    /// Whether the form asks for the address.
    pub asks_address: bool,
    pub key: KeyNeed,
    /// Example of a key.
    pub key_shape: &'static str,
    /// Beginning that only its keys have; empty if there is none.
    pub key_prefix: &'static str,
    /// What to know about the key.
    pub key_hint: &'static str,
    /// Page of the provider where a key is created; empty if there is none.
    pub key_page: &'static str,
    /// Maker to sign in with instead of a key.
    pub sign_in: Option<Vendor>,
}

impl Preset {
    /// [`Self::key_page`] without scheme and path, for the text of a link.
    #[must_use]
    pub fn key_site(&self) -> &'static str {
        let rest = self.key_page.split_once("://").map_or(self.key_page, |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default()
    }

    /// The other provider to which a key clearly belongs. A server with its own address accepts any key.
    #[must_use]
    pub fn owner_of_key(&self, key: &str) -> Option<&'static Preset> {
        let (key, own) = (key.trim(), self.key_prefix);
        if self.asks_address || (!own.is_empty() && key.starts_with(own)) {
            return None;
        }
        let mut others = PRESETS.iter().filter(|other| other.slug != self.slug);
        others.find(|one| !one.key_prefix.is_empty() && key.starts_with(one.key_prefix))
    }
}

/// In list order.
pub const PRESETS: &[Preset] = &[
    Preset {
        slug: "anthropic",
        name: "Anthropic",
        group: Group::Hosted,
        text: "Claude models",
        mark: "An",
        colour: 4,
        wire: Wire::Anthropic,
        address: "",
        asks_address: false,
        key: KeyNeed::Needed,
        key_shape: "sk-ant-…",
        key_prefix: "sk-ant-",
        key_hint: "You pay per use.",
        key_page: "https://console.anthropic.com/settings/keys",
        sign_in: None,
    },
    Preset {
        slug: "openai",
        name: "OpenAI",
        group: Group::Hosted,
        text: "GPT models",
        mark: "OA",
        colour: 6,
        wire: Wire::OpenaiResponses,
        address: "",
        asks_address: false,
        key: KeyNeed::Needed,
        key_shape: "sk-…",
        key_prefix: "sk-proj-",
        key_hint: "You pay per use.",
        key_page: "https://platform.openai.com/api-keys",
        sign_in: None,
    },
    Preset {
        slug: "gemini",
        name: "Google Gemini",
        group: Group::Hosted,
        text: "Gemini models",
        mark: "Ge",
        colour: 1,
        wire: Wire::Gemini,
        address: "",
        asks_address: false,
        key: KeyNeed::Needed,
        key_shape: "AIza…",
        key_prefix: "AIza",
        key_hint: "",
        key_page: "https://aistudio.google.com/api-keys",
        sign_in: None,
    },
    Preset {
        slug: "deepseek",
        name: "DeepSeek",
        group: Group::Hosted,
        text: "DeepSeek models",
        mark: "DS",
        colour: 2,
        wire: Wire::OpenaiChat,
        address: "https://api.deepseek.com",
        asks_address: false,
        key: KeyNeed::Needed,
        key_shape: "sk-…",
        key_prefix: "",
        key_hint: "You pay from a prepaid balance.",
        key_page: "https://platform.deepseek.com/api_keys",
        sign_in: None,
    },
    Preset {
        slug: "mistral",
        name: "Mistral",
        group: Group::Hosted,
        text: "Mistral models, hosted in Europe",
        mark: "Mi",
        colour: 3,
        wire: Wire::OpenaiChat,
        address: "https://api.mistral.ai/v1",
        asks_address: false,
        key: KeyNeed::Needed,
        key_shape: "",
        key_prefix: "",
        key_hint: "A new key can take a few minutes to work.",
        key_page: "https://console.mistral.ai/api-keys",
        sign_in: None,
    },
    Preset {
        slug: "groq",
        name: "Groq",
        group: Group::Hosted,
        text: "Open models on fast hardware",
        mark: "Gq",
        colour: 5,
        wire: Wire::OpenaiChat,
        address: "https://api.groq.com/openai/v1",
        asks_address: false,
        key: KeyNeed::Needed,
        key_shape: "gsk_…",
        key_prefix: "gsk_",
        key_hint: "",
        key_page: "https://console.groq.com/keys",
        sign_in: None,
    },
    Preset {
        slug: "openrouter",
        name: "OpenRouter",
        group: Group::Hosted,
        text: "Hundreds of models with one key",
        mark: "OR",
        colour: 7,
        wire: Wire::OpenaiChat,
        address: "https://openrouter.ai/api/v1",
        asks_address: false,
        key: KeyNeed::Needed,
        key_shape: "sk-or-…",
        key_prefix: "sk-or-",
        key_hint: "You pay from a prepaid balance.",
        key_page: "https://openrouter.ai/settings/keys",
        sign_in: None,
    },
    Preset {
        slug: "xai",
        name: "xAI",
        group: Group::Hosted,
        text: "Grok models",
        mark: "xA",
        colour: 8,
        wire: Wire::OpenaiChat,
        address: "https://api.x.ai/v1",
        asks_address: false,
        key: KeyNeed::Needed,
        key_shape: "xai-…",
        key_prefix: "xai-",
        key_hint: "You pay from a prepaid balance.",
        key_page: "https://console.x.ai/team/default/api-keys",
        sign_in: None,
    },
    Preset {
        slug: "chatgpt",
        name: "ChatGPT",
        group: Group::Subscription,
        text: "Sign in with your ChatGPT plan",
        mark: "Ch",
        colour: 6,
        wire: Wire::OpenaiResponses,
        address: "",
        asks_address: false,
        key: KeyNeed::Optional,
        key_shape: "",
        key_prefix: "",
        key_hint: "",
        key_page: "",
        sign_in: Some(Vendor::ChatGpt),
    },
    Preset {
        slug: "copilot",
        name: "GitHub Copilot",
        group: Group::Subscription,
        text: "Sign in with your Copilot plan and a code",
        mark: "GH",
        colour: 8,
        wire: Wire::OpenaiChat,
        address: "",
        asks_address: false,
        key: KeyNeed::Optional,
        key_shape: "",
        key_prefix: "",
        key_hint: "",
        key_page: "",
        sign_in: Some(Vendor::Copilot),
    },
    Preset {
        slug: "ollama",
        name: "Ollama",
        group: Group::Local,
        text: "Models on your own machine; nothing leaves it",
        mark: "Ol",
        colour: 2,
        wire: Wire::Ollama,
        address: "http://127.0.0.1:11434",
        asks_address: true,
        key: KeyNeed::Optional,
        key_shape: "",
        key_prefix: "",
        key_hint: "Usually none.",
        key_page: "",
        sign_in: None,
    },
    Preset {
        slug: "lm-studio",
        name: "LM Studio",
        group: Group::Local,
        text: "Start its local server first",
        mark: "LM",
        colour: 5,
        wire: Wire::OpenaiChat,
        address: "http://127.0.0.1:1234",
        asks_address: true,
        key: KeyNeed::Optional,
        key_shape: "",
        key_prefix: "",
        key_hint: "Usually none.",
        key_page: "",
        sign_in: None,
    },
    Preset {
        slug: "vllm",
        name: "vLLM or llama.cpp",
        group: Group::Local,
        text: "Your own server with the OpenAI protocol",
        mark: "vL",
        colour: 3,
        wire: Wire::OpenaiChat,
        address: "http://127.0.0.1:8000/v1",
        asks_address: true,
        key: KeyNeed::Optional,
        key_shape: "",
        key_prefix: "",
        key_hint: "The key the server was started with, if any.",
        key_page: "",
        sign_in: None,
    },
    Preset {
        slug: "openai-compatible",
        name: "OpenAI-compatible",
        group: Group::Compatible,
        text: "Any server or gateway that speaks Chat Completions",
        mark: "Co",
        colour: 1,
        wire: Wire::OpenaiChat,
        address: "",
        asks_address: true,
        key: KeyNeed::Optional,
        key_shape: "",
        key_prefix: "",
        key_hint: "Leave empty if the server doesn't need one.",
        key_page: "",
        sign_in: None,
    },
    Preset {
        slug: "responses-compatible",
        name: "Responses-compatible",
        group: Group::Compatible,
        text: "Any server that speaks OpenAI Responses",
        mark: "Re",
        colour: 6,
        wire: Wire::OpenaiResponses,
        address: "",
        asks_address: true,
        key: KeyNeed::Optional,
        key_shape: "",
        key_prefix: "",
        key_hint: "Leave empty if the server doesn't need one.",
        key_page: "",
        sign_in: None,
    },
    Preset {
        slug: "gemini-compatible",
        name: "Gemini-compatible",
        group: Group::Compatible,
        text: "A gateway that speaks Google’s own protocol",
        mark: "Gc",
        colour: 7,
        wire: Wire::Gemini,
        address: "",
        asks_address: true,
        key: KeyNeed::Optional,
        key_shape: "",
        key_prefix: "",
        key_hint: "Leave empty if the server doesn't need one.",
        key_page: "",
        sign_in: None,
    },
    Preset {
        slug: "anthropic-compatible",
        name: "Anthropic-compatible",
        group: Group::Compatible,
        text: "A gateway that speaks the Messages protocol",
        mark: "Ac",
        colour: 4,
        wire: Wire::Anthropic,
        address: "",
        asks_address: true,
        key: KeyNeed::Optional,
        key_shape: "",
        key_prefix: "",
        key_hint: "Leave empty if the server doesn't need one.",
        key_page: "",
        sign_in: None,
    },
];

#[must_use]
pub fn find(slug: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.slug == slug)
}

/// The provider with this wire format and fixed address.
#[must_use]
pub fn at(wire: Wire, base_url: &str) -> Option<&'static Preset> {
    let fixed = PRESETS.iter().filter(|one| one.wire == wire && !one.asks_address);
    fixed.filter(|one| one.sign_in.is_none()).find(|one| {
        base::normalise(wire.into(), one.address).is_ok_and(|base| base.url == base_url)
    })
}

#[cfg(test)]
mod tests {
    use super::{Group, KeyNeed, PRESETS, at, find};
    use crate::connections::model::Wire;
    use crate::connections::queries::needs_key;
    use providers::base::{self, Server};

    #[test]
    fn every_address_that_is_offered_can_be_used() {
        for preset in PRESETS {
            base::normalise(preset.wire.into(), preset.address).unwrap();
        }
    }

    #[test]
    fn groups_are_listed_one_after_the_other_and_tell_their_providers_apart() {
        let mut groups: Vec<Group> = PRESETS.iter().map(|preset| preset.group).collect();
        groups.dedup();
        assert_eq!(groups, Group::ALL);
        for group in Group::ALL {
            let all = PRESETS.iter().filter(|preset| preset.group == group);
            let mut marks: Vec<_> = all.map(|preset| preset.mark).collect();
            let count = marks.len();
            marks.sort_unstable();
            marks.dedup();
            assert_eq!(marks.len(), count, "{group:?}");
        }
    }

    #[test]
    fn hosted_providers_have_an_address_and_a_page_for_keys() {
        for (slug, server, url) in [
            ("deepseek", Server::DeepSeek, "https://api.deepseek.com/v1"),
            ("mistral", Server::Mistral, "https://api.mistral.ai/v1"),
            ("groq", Server::Groq, "https://api.groq.com/openai/v1"),
            ("openrouter", Server::OpenRouter, "https://openrouter.ai/api/v1"),
            ("xai", Server::XAi, "https://api.x.ai/v1"),
        ] {
            let preset = find(slug).expect("a provider");
            let base = base::normalise(preset.wire.into(), preset.address).expect("an address");
            assert_eq!((base.server, base.url.as_str()), (server, url), "{slug}");
            assert_eq!(at(Wire::OpenaiChat, url).map(|one| one.slug), Some(slug));
        }
        for preset in PRESETS.iter().filter(|preset| preset.group == Group::Hosted) {
            let base = base::normalise(preset.wire.into(), preset.address).expect("an address");
            assert!(needs_key(&base, preset.wire), "{}", preset.name);
            assert_eq!((preset.key, preset.asks_address), (KeyNeed::Needed, false));
            assert!(preset.key_page.starts_with("https://"), "{}", preset.name);
            assert!(preset.key_site().contains('.'), "{}", preset.key_site());
        }
    }

    #[test]
    fn a_key_of_another_provider_is_noticed() {
        let owner = |slug: &str, key| {
            find(slug).expect("a provider").owner_of_key(key).map(|owner| owner.slug)
        };
        assert_eq!(owner("deepseek", " sk-or-v1-1"), Some("openrouter"));
        assert_eq!(owner("xai", "gsk_1"), Some("groq"));
        assert_eq!(owner("groq", "xai-1"), Some("xai"));
        assert_eq!(owner("openai", "sk-ant-1"), Some("anthropic"));
        for (slug, key) in [
            ("groq", "gsk_1"),
            ("openai", "sk-1"),
            ("deepseek", "sk-1"),
            ("mistral", "anything"),
            ("openai-compatible", "gsk_1"),
        ] {
            assert_eq!(owner(slug, key), None, "{slug} {key}");
        }
    }
}
