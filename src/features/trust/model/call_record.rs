//! Calls as the gate judged them, whatever became of them: what a permission is tried on before it is kept. Of a command
//! line stays what it was reduced to on its machine then; its other words are in a fingerprint alone.

use std::borrow::Cow;

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use commands::Seen;
use crypto::redact::Redactor;
use kernel::key::KeyBuf;
use kernel::{AccessDecision, AgentId, RunId, Timestamp, TypedId as _};
use store::{Class, Record, Table, codec};
use tool::Effect;

use super::Approval;
use crate::trust::authorize::{Facts, OutgoingRequest};

/// Calls that were judged lately.
pub const JUDGED_CALLS: Table = Table::new(408, "judged_calls");

/// The most that is kept of a command line, in bytes.
const MAX_LINE: usize = 2 * 1024;
/// The longest method, host and origin of a request that are kept, in bytes.
const MAX_REQUEST: usize = 512;
/// The largest call that is kept, in bytes.
const MAX_CALL: usize = 4 * 1024;
/// The bytes of a moment at the beginning of a key.
const MOMENT: usize = 8;

/// What became of a call. A released layout only grows at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Became {
    /// It was let through without a person's yes.
    Passed,
    /// People were asked for it.
    Asked,
    /// It was refused without them.
    Refused,
    /// A person said no to it.
    Denied,
}

/// A call as the gate judged it: what decides, and nothing that is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// The provider's id of the call.
    pub call_id: String,
    /// The name of the tool.
    pub tool: String,
    /// What it did to the world.
    pub effect: Effect,
    /// SHA-256 of tool and plan.
    pub digest: [u8; 32],
    /// The commands of its line, with the words alone that a permission looks at. None where it has no line that decides,
    /// where that could not be taken apart, is too long, or names a secret by its value.
    pub commands: Option<Vec<Seen>>,
    /// What it asked of whom; none where that is too long, or names a secret by its value.
    pub request: Option<OutgoingRequest>,
    pub became: Became,
}

impl CallRecord {
    /// What is kept of a call that was judged by these facts.
    #[must_use]
    pub fn of(
        call_id: &str,
        facts: &Facts<'_>,
        leave: AccessDecision,
        redactor: &Redactor,
    ) -> Self {
        let is_plain = |text: &str| matches!(redactor.text(text), Cow::Borrowed(_));
        let seen = facts.line.and_then(|line| line.as_ref().ok());
        let commands: Option<Vec<Seen>> = seen.map(|all| all.iter().map(Seen::reduced).collect());
        let commands = commands.filter(|all| {
            is_within(all, MAX_LINE) && all.iter().flat_map(Seen::texts).all(is_plain)
        });
        let request = facts.request.filter(|asked| {
            let texts = [Some(&asked.method), Some(&asked.host), asked.origin.as_ref()];
            is_within(asked, MAX_REQUEST) && texts.into_iter().flatten().all(|text| is_plain(text))
        });
        Self {
            call_id: call_id.to_owned(),
            tool: facts.tool.to_owned(),
            effect: facts.effect,
            digest: facts.digest,
            commands,
            request: request.cloned(),
            became: match leave {
                AccessDecision::Allow => Became::Passed,
                AccessDecision::Ask => Became::Asked,
                AccessDecision::Deny => Became::Refused,
            },
        }
    }

    /// Whether it is as small as calls are that are kept: what a host says of one may be anything.
    #[must_use]
    pub fn is_small(&self) -> bool {
        is_within(self, MAX_CALL)
    }
}

fn is_within<T: Serialize>(value: &T, most: usize) -> bool {
    codec::encode(value).is_ok_and(|bytes| bytes.len() <= most)
}

/// The place of a judged call: by when it was judged, then its tool, run and id.
pub type JudgedKey = (Timestamp, (String, (RunId, String)));

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgedCall {
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    pub run: RunId,
    pub agent: AgentId,
    pub call: CallRecord,
}

impl JudgedCall {
    /// The place of the call that people were asked for by an approval.
    #[must_use]
    pub fn key_of(approval: &Approval) -> JudgedKey {
        let Approval { asked_at, tool, run, call_id, .. } = approval;
        (*asked_at, (tool.clone(), (*run, call_id.clone())))
    }

    /// Whether a key is of a call of the tool whose name this is, so that no other is read.
    #[must_use]
    pub fn is_of(key: &[u8], tool: &KeyBuf) -> bool {
        key.get(MOMENT..).is_some_and(|rest| rest.starts_with(tool.bytes()))
    }
}

impl Record for JudgedCall {
    type Id = JudgedKey;
    const TABLE: Table = JUDGED_CALLS;
    const CLASS: Class = Class::Local;
    fn id(&self) -> JudgedKey {
        (self.at, (self.call.tool.clone(), (self.run, self.call.call_id.clone())))
    }
    fn sample() -> Self {
        Self {
            at: kernel::time::from_ms(1_700_000_000_000),
            run: RunId::from_bytes([8; 16]),
            agent: AgentId::from_bytes([5; 16]),
            call: CallRecord {
                call_id: "call_1".into(),
                tool: "exec".into(),
                effect: Effect::Exec,
                digest: [4; 32],
                commands: Some(vec![Seen::sample()]),
                request: Some(OutgoingRequest {
                    method: "GET".into(),
                    host: "shop.example".into(),
                    is_usual: false,
                    origin: Some("http://shop.example:8080".into()),
                }),
                became: Became::Denied,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crypto::keyring::Secret;

    use super::*;
    use crate::trust::authorize::Reach;
    use crate::trust::line;

    fn judged(line: &str, redactor: &Redactor) -> CallRecord {
        let (line, _) = line::looked_at(line.to_owned(), Path::new("/none"), "");
        let facts = Facts::of("exec", Effect::Exec, Reach::AnyHost, Timestamp::UNIX_EPOCH);
        let facts = Facts { line: Some(&line.seen), digest: [7; 32], ..facts };
        CallRecord::of("call_1", &facts, AccessDecision::Allow, redactor)
    }

    #[test]
    fn the_words_of_a_command_stay_in_its_fingerprint_alone() {
        let redactor = Redactor::new();
        let call = judged("echo one; rm two three", &redactor);
        let commands = call.commands.as_deref().expect("its commands");
        let words: Vec<&str> = commands.iter().flat_map(Seen::texts).collect();
        assert!(words.contains(&"echo") && words.contains(&"rm"), "{words:?}");
        for word in ["one", "two", "three"] {
            assert!(!words.contains(&word), "{words:?}");
        }
        assert!(codec::encode(&call).expect("its bytes").len() < 400);
        assert_eq!(call.became, Became::Passed);
    }

    #[test]
    fn what_names_a_secret_by_its_value_is_told_by_its_digest_alone() {
        let redactor = Redactor::new();
        redactor.add("KEY", Secret::new("a-value-that-is-secret".to_owned()));
        let call = judged("./a-value-that-is-secret x", &redactor);
        assert_eq!((call.commands, call.digest), (None, [7; 32]));
        assert!(judged("./another-value x", &redactor).commands.is_some());
        let host = |host: &str| {
            let (method, host) = ("GET".to_owned(), host.to_owned());
            let asked = OutgoingRequest { method, host, is_usual: true, origin: None };
            let facts = Facts::of(
                "http_request",
                Effect::External,
                Reach::Elsewhere,
                Timestamp::UNIX_EPOCH,
            );
            let facts = Facts { request: Some(&asked), ..facts };
            CallRecord::of("call_1", &facts, AccessDecision::Ask, &redactor).request
        };
        assert_eq!(host("a-value-that-is-secret.example"), None);
        assert!(host("shop.example").is_some());
        assert_eq!(host(&"a".repeat(1_000)), None, "too long");
    }

    #[test]
    fn a_long_line_is_kept_as_one_that_cannot_be_taken_apart() {
        let redactor = Redactor::new();
        let line = |count: usize| vec!["echo a"; count].join("; ");
        assert!(judged(&line(10), &redactor).commands.is_some());
        assert_eq!(judged(&line(60), &redactor).commands, None);
        assert_eq!(judged("echo $HOME", &redactor).commands, None);
    }

    #[test]
    fn a_key_tells_of_which_tool_its_call_is() {
        let call = JudgedCall::sample();
        let key = KeyBuf::of(&call.id());
        let of = |tool: &str| {
            let mut name = KeyBuf::new();
            name.text(tool);
            JudgedCall::is_of(key.bytes(), &name)
        };
        assert_eq!((of("exec"), of("exe"), of("execute")), (true, false, false));
    }
}
