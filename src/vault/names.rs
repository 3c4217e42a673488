//! Rules for variables and hosts of secrets.

use kernel::env_names;
use net::guard::Hosts;

use crate::error::VaultError;

/// Longest variable, in characters.
const MAX_KEY: usize = 128;
const MOST_HOSTS: usize = 50;

/// The variable for a name: "Notion API Key" gives `NOTION_API_KEY`. The result may be invalid.
#[must_use]
pub fn key_of(name: &str) -> String {
    let mut key = String::new();
    for sign in name.chars().flat_map(char::to_uppercase) {
        match sign {
            'A'..='Z' | '0'..='9' => key.push(sign),
            _ if key.is_empty() || key.ends_with('_') => {}
            _ => key.push('_'),
        }
    }
    key.trim_end_matches('_').to_owned()
}

/// Returns the trimmed variable if it is valid.
///
/// # Errors
/// Says what is wrong with the variable.
pub fn checked(key: &str) -> Result<String, VaultError> {
    let key = key.trim();
    match wrong(key) {
        None => Ok(key.to_owned()),
        Some(why) => Err(VaultError::field("key", why)),
    }
}

#[must_use]
pub fn wrong(key: &str) -> Option<String> {
    let fits = |sign: u8| sign.is_ascii_uppercase() || sign.is_ascii_digit() || sign == b'_';
    if !key.starts_with(|sign: char| sign.is_ascii_uppercase())
        || !key.bytes().all(fits)
        || MAX_KEY < key.len()
    {
        return Some(format!(
            "Use A to Z, 0 to 9 and _, starting with a letter, and at most {MAX_KEY} characters."
        ));
    }
    let why = env_names::reserved(key)?;
    Some(format!("{key} can’t be set here: {why}."))
}

/// Normalizes hosts.
///
/// # Errors
/// If a line is no host, or there are too many.
pub fn hosts(lines: &[String]) -> Result<Vec<String>, VaultError> {
    let mut all: Vec<String> = Vec::new();
    for line in lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()) {
        let host = Hosts::line(line).ok_or_else(|| {
            let words = "isn’t a host. Enter api.example.com, or *.example.com for all subdomains.";
            VaultError::field("hosts", format!("\"{}\" {words}", kernel::text::ellipsis(line, 60)))
        })?;
        if !all.contains(&host) {
            all.push(host);
        }
    }
    if MOST_HOSTS < all.len() {
        return Err(VaultError::field("hosts", format!("Enter at most {MOST_HOSTS} hosts.")));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::{checked, hosts, key_of};

    #[test]
    fn a_name_gives_its_variable() {
        let all = [
            ("Notion API Key", "NOTION_API_KEY"),
            ("  --shop (live)--  ", "SHOP_LIVE"),
            ("Größe 2", "GR_SSE_2"),
            ("a__b", "A_B"),
            ("漢字", ""),
        ];
        for (name, key) in all {
            assert_eq!(key_of(name), key, "{name}");
        }
    }

    #[test]
    fn reserved_and_odd_names_are_refused_with_the_reason() {
        for key in
            ["PATH", "LD_AUDIT", "PERL5OPT", "GIT_SSL_CAINFO", "SSH_AUTH_SOCK", "DYLD_X", "ENV"]
        {
            let why = checked(key).expect_err(key).to_string();
            assert!(why.contains("what programs run or load"), "{why}");
        }
        for key in ["HQ_MASTER_KEY", "HTTPS_PROXY", "AWS_CA_BUNDLE"] {
            let why = checked(key).expect_err(key).to_string();
            assert!(why.contains("HQ sets it itself"), "{why}");
        }
        for key in ["", "1A", "_A", "a", "A-B", "Ä", "A B", &"A".repeat(129)] {
            assert!(checked(key).is_err(), "{key}");
        }
        for key in ["A", "GITHUB_TOKEN", "SSHKEY", "HQX", "PATHS", &"A".repeat(128)] {
            assert_eq!(checked(key).expect("fine"), key);
        }
    }

    #[test]
    fn hosts_are_kept_in_one_form() {
        let lines = ["API.Example.com. ", "*.example.com", "api.example.com", ""];
        let kept = hosts(&lines.map(str::to_owned)).expect("hosts");
        assert_eq!(kept, ["api.example.com", "*.example.com"]);
        for odd in ["https://a.example", "a.example/x", "*", "a.*.example", "a.example:8080"] {
            assert!(hosts(&[odd.to_owned()]).is_err(), "{odd}");
        }
    }
}
