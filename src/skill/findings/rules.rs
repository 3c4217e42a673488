//! Expressions over lines. A line that ends with a backslash or a pipe is read together with the next one.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use regex::Regex;

use super::FindingKind::{
    self, AsksForKey, ChangesSystem, Encoded, Exfiltrates, Obfuscated, OverridesRules,
    PipesToShell, ReadsCredentials, RemoteShell, RunsDecoded,
};
use super::Found;
use crate::File;

/// Maximum number of lines that are read together.
const MAX_JOINED: usize = 8;
/// Length from which a line of code counts as unreadable, in bytes.
const LONG_LINE: usize = 2_000;
const CODE: [&str; 10] = [".js", ".mjs", ".cjs", ".ts", ".py", ".sh", ".ps1", ".rb", ".php", ".pl"];
/// Length from which a run of base64 counts as data, in bytes.
const LONG_DATA: usize = 200;

struct Rule {
    kind: FindingKind,
    /// One of them, in lower case, is in each line that the expression matches.
    words: &'static [&'static str],
    /// Without an expression, a word is sufficient.
    pattern: &'static str,
}

const SHELL: &str = r"(sudo\s+(-\S+\s+)*)?(/usr)?(/bin/|/usr/bin/env\s+)?(env\s+(\S+=\S*\s+)*)?(bash|sh|zsh|dash|ksh|fish|python[0-9.]*|node|deno|bun|perl|ruby|php|iex|pwsh|powershell|invoke-expression)\b";

const RULES: &[Rule] = &[
    Rule {
        kind: OverridesRules,
        words: &["ignore", "disregard", "forget", "override", "ignoriere", "missachte"],
        pattern: r"(?i)\b(ignore|disregard|forget|override|ignoriere|missachte)\b.{0,20}\b(all|any|every|previous|prior|above|earlier|preceding|existing|other|your|system|safety|security|platform|company|vorherigen?|bisherigen?|alle)\b.{0,25}\b(instructions?|rules?|guidelines?|prompts?|polic(y|ies)|constraints?|restrictions?|safeguards?|guardrails?|messages?|anweisung(en)?|regeln?)\b",
    },
    Rule {
        kind: OverridesRules,
        words: &["bypass", "circumvent", "override", "disable", "turn off"],
        pattern: r"(?i)\b(bypass|circumvent|override|disable|turn off)\b.{0,25}\b(approvals?|permissions?|permission (checks?|prompts?)|sandbox(ing)?|safety|safeguards?|guardrails?|confirmations?|content filters?|security (checks?|polic(y|ies)))\b",
    },
    Rule {
        kind: OverridesRules,
        words: &["tell", "inform", "mention", "reveal", "notify", "disclose", "alert", "show"],
        pattern: r"(?i)\b(do not|don['’]t|never|without)\s+(ever\s+)?(tell(ing)?|inform(ing)?|mention(ing)?|reveal(ing)?|notify(ing)?|disclos(e|ing)|alert(ing)?|show(ing)?)\b.{0,40}\b(users?|humans?|person|people|operators?|owners?|anyone|anybody)\b",
    },
    Rule {
        kind: OverridesRules,
        words: &["without"],
        pattern: r"(?i)\bwithout\s+(asking|confirm(ing|ation)|approval|permission|consent|(the\s+)?(user|human|operator|owner)['’]?s?\s+(knowledge|consent|approval|permission|confirmation))\b",
    },
    Rule {
        kind: OverridesRules,
        words: &[
            "you are now",
            "developer mode",
            "jailbreak",
            "dangerously-skip",
            "system prompt",
            "yolo mode",
        ],
        pattern: r"(?i)(\byou are now\b.{0,60}\b(unrestricted|free|in|an?|dan)\b|developer mode|jailbreak|dangerously-skip-permissions|yolo mode|\b(reveal|print|show|repeat|output|leak)\b.{0,30}system prompt)",
    },
    Rule {
        kind: Exfiltrates,
        words: &[
            "exfiltrat",
            "send",
            "upload",
            "transmit",
            "forward",
            "leak",
            "post",
            "submit",
            "report",
        ],
        pattern: r"(?i)(exfiltrat|\b(send|upload|transmit|forward|leak|post|submit|report)\b.{0,60}\b(credentials?|passwords?|api[ _-]?keys?|private keys?|ssh keys?|access tokens?|tokens?|secrets?|environment variables?|env vars?|cookies|conversation|chat history|transcripts?|memory files?)\b.{0,80}\b(to|at|via)\b)",
    },
    Rule {
        kind: Exfiltrates,
        words: &["curl", "wget", "invoke-webrequest", "invoke-restmethod"],
        pattern: r"(?i)\b(curl|wget|invoke-webrequest|invoke-restmethod)\b.*(\s(-d|--data(-binary|-raw|-urlencode)?|--post-file|--post-data|-f|--form|-t|--upload-file|-body|-infile)[\s=]*\S*(@|\$\(|`|\$\{?(home|env|[a-z_]*(key|token|secret|password)))|\$\((env|printenv|cat |base64 ))",
    },
    Rule {
        kind: Exfiltrates,
        words: &[
            "webhook",
            "requestbin",
            "pipedream.net",
            "ngrok",
            "burpcollaborator",
            "oast.",
            "interact.sh",
            "pastebin.com",
            "transfer.sh",
            "hooks.slack.com",
            "api.telegram.org/bot",
        ],
        pattern: r"(?i)(discord(app)?\.com/api/webhooks|hooks\.slack\.com|webhook\.site|requestbin|pipedream\.net|ngrok(-free)?\.(io|app|dev)|burpcollaborator|\boast\.(fun|me|pro|live|site|online)|interact\.sh|pastebin\.com|transfer\.sh|api\.telegram\.org/bot)",
    },
    Rule {
        kind: RemoteShell,
        words: &["/dev/tcp", "/dev/udp", "nc ", "ncat ", "netcat ", "socat ", "mkfifo"],
        pattern: r"(?i)(/dev/(tcp|udp)/|\b(nc|ncat|netcat)\s+.*(-e|-c|--exec|--sh-exec)\b|\bsocat\b.*\bexec:|mkfifo\s+\S+.*\b(nc|ncat|netcat)\b)",
    },
    Rule {
        kind: PipesToShell,
        words: &[
            "curl",
            "wget",
            "fetch",
            "iwr",
            "irm",
            "invoke-webrequest",
            "invoke-restmethod",
            "downloadstring",
        ],
        pattern: r"SHELL_AFTER_DOWNLOAD",
    },
    Rule {
        kind: RunsDecoded,
        words: &[
            "base64",
            "b64decode",
            "atob",
            "fromcharcode",
            "unhexlify",
            "fromhex",
            "xxd",
            "openssl enc",
            "rot13",
            "rot_13",
            "decompress",
            "-enc",
            "frombase64string",
            "unpack(",
        ],
        pattern: r"RUN_AFTER_DECODE",
    },
    Rule {
        kind: ReadsCredentials,
        words: &[
            ".ssh",
            "id_rsa",
            "id_ed25519",
            ".aws",
            ".netrc",
            ".git-credentials",
            ".npmrc",
            ".pypirc",
            ".kube",
            ".docker/config",
            ".gnupg",
            "/etc/shadow",
            "/etc/passwd",
            "gcloud",
            "default_credentials",
            ".config/gh",
            "keychain",
            "find-generic-password",
            "169.254.169.254",
            "metadata.google",
            "login data",
            "cookies.sqlite",
            "wallet.dat",
            ".azure",
            "/proc/self/environ",
            ".bash_history",
            ".zsh_history",
        ],
        pattern: r"(?i)((~|\$\{?home\}?|/home/\S+|/root|/users/\S+|%userprofile%|expanduser.*|homedir\(\).*|path\.home\(\).*)[/\\'\x22, )]*\.(ssh|aws|gnupg|kube|azure|docker|netrc|npmrc|pypirc|git-credentials|config/(gh|gcloud)|(bash|zsh)_history)|\.ssh/|\bid_(rsa|ed25519|ecdsa|dsa)\b|\.aws/(credentials|config)|\.git-credentials|\.docker/config\.json|\.kube/config|/etc/(shadow|passwd)|application_default_credentials|gcloud auth print-|(login|default)\.keychain|security\s+(find-generic-password|dump-keychain)|169\.254\.169\.254|metadata\.google\.internal|cookies\.sqlite|wallet\.dat|/proc/(self|\d+)/environ)",
    },
    Rule {
        kind: ReadsCredentials,
        words: &["printenv", "environ", "process.env", "env", "export -p", "get-childitem"],
        pattern: r"(?i)(\bprintenv\s*([|>;&)]|$)|(^|[;&|(`]\s*)(/usr/bin/)?env\s*([|>)]|$)|\bexport\s+-p\b|(dict|str|repr|dumps|print|list)\(\s*os\.environ\s*[,)]|os\.environ\.(copy|items)\(\)|stringify\(\s*process\.env\s*[,)]|(entries|keys|values)\(\s*process\.env\s*\)|(get-childitem|gci|dir|ls)\s+env:)",
    },
    Rule {
        kind: AsksForKey,
        words: &[
            "key",
            "password",
            "passphrase",
            "token",
            "secret",
            "seed phrase",
            "passwort",
            "schlüssel",
        ],
        pattern: r"(?i)(\b(paste|enter|provide|type|give|share|insert|tell me|ask( the user)? for|request)\b.{0,40}\b(api[ _-]?keys?|private keys?|secret keys?|access keys?|passwords?|passphrases?|access tokens?|bearer tokens?|seed phrases?|secrets?|credentials?)\b|\b(gib|füge)\b.{0,40}\b(passwort|schlüssel)\b)",
    },
    Rule {
        kind: ChangesSystem,
        words: &[
            "sudo",
            "crontab",
            "systemctl",
            "launchctl",
            "authorized_keys",
            ".bashrc",
            ".zshrc",
            ".profile",
            "rm -",
            "chmod",
            "/etc/",
            "git config --global",
            "schtasks",
            "reg add",
            "mkfs",
            "core.hookspath",
            ".claude/settings",
            "disable-",
        ],
        pattern: r"(?i)(^|[^a-z])sudo\s|\bcrontab\b|\b(systemctl|launchctl)\s+(enable|load|start|daemon-reload|bootstrap)|authorized_keys|(>>?|tee(\s+-a)?)\s*\S*\.(bashrc|zshrc|bash_profile|zprofile|profile)\b|\brm\s+-[a-z]*(rf|fr)[a-z]*\s+[~/$]|\bchmod\s+(-r\s+)?(777|[ugoa]*\+s|4[0-7]{3})\b|(>>?|tee(\s+-a)?)\s*/etc/|git\s+config\s+--global|\bschtasks\b.*/create|\breg\s+add\b|\bmkfs\b|core\.hookspath|\.claude/settings",
    },
    Rule {
        kind: Obfuscated,
        words: &[
            "\\x",
            "\\u00",
            "fromcharcode",
            "_0x",
            "marshal.loads",
            "__import__",
            "chr(",
            "${ifs}",
            "$'\\",
            "getattr(",
            "compile(",
        ],
        pattern: r"(?i)((\\x[0-9a-f]{2}){8,}|(\\u00[0-9a-f]{2}){8,}|fromcharcode\((\s*(0x)?[0-9a-f]+\s*,){7,}|\b_0x[0-9a-f]{4,}\b|marshal\.loads|__import__\(\s*['\x22](os|subprocess|base64|codecs|builtins)|(chr\(\s*(0x)?[0-9a-f]+\s*\)\s*[+.,]\s*){4,}|\$\{IFS\}|\$'(\\x[0-9a-f]{2}|\\[0-7]{3}){4,}|getattr\(\s*(__builtins__|builtins|os)\b|exec\(\s*compile\()",
    },
];

/// Where downloads run: in a pipe, in a substitution, or as an argument of an evaluation.
const DOWNLOAD: &str = r"\b(curl|wget|fetch|iwr|irm|invoke-webrequest|invoke-restmethod)(\.exe)?\b";
const DECODE: &str = r"(base64(\.exe)?\s+(-d|-D|--decode)|base64\.(b64|urlsafe_b64)decode|b64decode|\batob\(|fromcharcode|unhexlify|bytes\.fromhex|xxd\s+-r|openssl\s+enc\s+.*-d|rot_?13|(zlib|gzip|lzma|bz2)\.decompress|frombase64string|buffer\.from\([^)]*base64)";

pub fn compile(pattern: &str) -> Regex {
    Regex::new(pattern).expect("invariant: a fixed expression that a test compiles")
}

struct Compiled {
    rules: Vec<(FindingKind, Regex)>,
    words: AhoCorasick,
    /// The rule of each word.
    rule_of: Vec<usize>,
}

static COMPILED: LazyLock<Compiled> = LazyLock::new(|| {
    let (mut words, mut rule_of, mut rules) = (Vec::new(), Vec::new(), Vec::new());
    for (at, rule) in RULES.iter().enumerate() {
        words.extend_from_slice(rule.words);
        rule_of.extend(rule.words.iter().map(|_| at));
        rules.push((rule.kind, compile(&pattern(rule.pattern))));
    }
    let words = AhoCorasick::builder().ascii_case_insensitive(true).build(&words);
    Compiled { rules, words: words.expect("invariant: a fixed list that a test builds"), rule_of }
});

fn pattern(written: &str) -> String {
    match written {
        "SHELL_AFTER_DOWNLOAD" => format!(
            r"(?i)({DOWNLOAD}[^|]*\|(\s*(tee|gunzip|tar|sed|grep|cat|tr)\b[^|]*\|)*\s*{SHELL}|\b(bash|sh|zsh|source|\.|eval|python[0-9.]*|node)\s+(-c\s+)?[\x22']?(<\(|\$\(|`)\s*{DOWNLOAD}|(iex|invoke-expression)\b.*({DOWNLOAD}|downloadstring)|{DOWNLOAD}.*(&&|;)\s*(chmod\s+\S+\s+\S+\s*(&&|;)\s*)?(sudo\s+)?((bash|sh|zsh|python[0-9.]*|node)\s+\S|\./\S)|(exec|eval)\(\s*(requests|urllib|fetch)\b)"
        ),
        "RUN_AFTER_DECODE" => format!(
            r"(?i)({DECODE}[^|]*\|\s*{SHELL}|\b(eval|exec|execsync|spawn|system|popen|function|iex|invoke-expression|subprocess\.\w+|compile)\b.*{DECODE}|\b(eval|bash|sh|source)\b.*(\$\(|`).*{DECODE}|(powershell|pwsh)(\.exe)?\s.*-e(nc|ncodedcommand)?\s+[a-z0-9+/=]{{16,}}|{DECODE}.*\b(eval|exec|system)\()"
        ),
        other => other.to_owned(),
    }
}

pub fn look(file: &File, text: &str, found: &mut Found) {
    let compiled = &*COMPILED;
    let path = file.path.to_ascii_lowercase();
    let is_code = CODE.iter().any(|ending| path.ends_with(ending));
    for (number, line) in joined(text) {
        let mut rules = BTreeSet::new();
        for word in compiled.words.find_overlapping_iter(&*line) {
            rules.insert(compiled.rule_of[word.pattern().as_usize()]);
        }
        for (kind, rule) in rules.into_iter().map(|at| &compiled.rules[at]) {
            if !found.may_examine(&file.path, number, line.len()) {
                break;
            }
            if let Some(hit) = rule.find(&line) {
                found.add(&file.path, number, *kind, around(&line, hit.start()));
            }
        }
        if has_long_data(&line) {
            found.add(&file.path, number, Encoded, &line);
        } else if is_code && LONG_LINE < line.len() {
            found.add(&file.path, number, Obfuscated, &line);
        }
    }
}

/// Part of a long line that shows what was found.
fn around(line: &str, at: usize) -> &str {
    if line.len() <= super::MAX_EXCERPT {
        return line;
    }
    let mut start = at.saturating_sub(40);
    while !line.is_char_boundary(start) {
        start -= 1;
    }
    &line[start..]
}

/// Lines with their numbers. Continued lines become one.
fn joined(text: &str) -> impl Iterator<Item = (usize, std::borrow::Cow<'_, str>)> {
    let mut lines = text.lines().enumerate();
    std::iter::from_fn(move || {
        let (index, first) = lines.next()?;
        let mut line = std::borrow::Cow::Borrowed(first);
        let mut count = 1;
        while count < MAX_JOINED
            && let Some(start) = continued(&line)
            && let Some((_, next)) = lines.next()
        {
            line = format!("{start} {}", next.trim_start()).into();
            count += 1;
        }
        Some((index + 1, line))
    })
}

/// The line without its sign of continuation, if it has one.
fn continued(line: &str) -> Option<&str> {
    let line = line.trim_end();
    match line.strip_suffix('\\') {
        Some(start) => Some(start),
        // A row of a table in Markdown begins with a pipe, too.
        None => (line.ends_with('|') && !line.trim_start().starts_with('|')).then_some(line),
    }
}

/// Whether a line has a long run of base64 that is no picture.
fn has_long_data(line: &str) -> bool {
    if line.len() < LONG_DATA || line.contains("data:image/") || line.contains("data:font/") {
        return false;
    }
    let is_data = |b: u8| b.is_ascii_alphanumeric() || b"+/=_-".contains(&b);
    line.as_bytes().split(|b| !is_data(*b)).any(|run| {
        let has = |is: fn(&u8) -> bool| run.iter().any(is);
        LONG_DATA <= run.len()
            && has(u8::is_ascii_uppercase)
            && has(u8::is_ascii_lowercase)
            && has(u8::is_ascii_digit)
    })
}

static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
    compile(
        r"(?i)\b(?:https?|wss?|ftps?|sftp|ssh|git)://(?:[^\s/@\x22'<>()]*@)?(\[[0-9a-f:.]+\]|[^\s/:?#\x22'`<>()\[\]{}$,;|\\*]+)",
    )
});

/// Hosts of addresses with their lines, in order, with repetitions.
pub fn hosts(text: &str) -> Vec<(usize, String)> {
    let mut hosts = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if !line.contains("://") {
            continue;
        }
        for address in ADDRESS.captures_iter(line) {
            let host = address[1].trim_end_matches(['.', '_', '-']).to_lowercase();
            let is_host = host.starts_with('[')
                || host.contains('.') && !host.contains("..")
                || host == "localhost";
            if is_host {
                hosts.push((index + 1, host));
            }
        }
    }
    hosts
}
