//! Confines files, ports and signals of a jailed program through Landlock. Available rights depend on the kernel; the
//! highest supported ABI is used.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath,
    PathFd, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};

use super::policy::{Network, Policy, WithoutLandlock};

/// Minimum ABI with a separate right to truncate files.
pub const TRUNCATE: u8 = 3;
/// Minimum ABI with TCP port rules.
pub const PORTS: u8 = 4;
/// Minimum ABI that confines signals and abstract sockets.
pub const SCOPES: u8 = 6;
/// Minimum ABI that confines Unix sockets by path.
pub const UNIX_SOCKETS: u8 = 9;

const LEVELS: [ABI; 9] =
    [ABI::V1, ABI::V2, ABI::V3, ABI::V4, ABI::V5, ABI::V6, ABI::V7, ABI::V8, ABI::V9];

/// Programs and their libraries.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/nix/store",
    "/proc",
    "/sys/devices/system/cpu",
];

/// The parts of `/etc` that programs look up: no password hashes, no keys, no service configuration.
const ETC: &[&str] = &[
    "/etc/alternatives",
    "/etc/bash.bashrc",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/crypto-policies",
    "/etc/debian_version",
    "/etc/fonts",
    "/etc/gai.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/inputrc",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/lsb-release",
    "/etc/magic",
    "/etc/magic.mime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/perl",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/profile",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/terminfo",
    "/etc/timezone",
];

const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// Why confinement failed.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// The kernel has no Landlock, and the host is not allowed to run without.
    #[error(
        "this kernel has no Landlock, so a program could read and write everything HQ can; use \
         Linux 5.13 or later with Landlock, or allow programs without a sandbox in the settings"
    )]
    NoLandlock,
    /// A path of the policy does not exist.
    #[error("the path {path} of the policy cannot be opened: {source}; make the folder first")]
    Path {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A writable folder contains a concealed path.
    #[error(
        "the writable folder {0} holds folders that are not for programs; choose one below them"
    )]
    TooWide(PathBuf),
    /// Landlock rejected the rules.
    #[error("landlock refused the rules: {0}; run `hq doctor sandbox`")]
    Rules(#[from] RulesetError),
}

/// The highest Landlock ABI that both the kernel and this program support; 0 without Landlock. Restricts nothing.
#[must_use]
pub fn landlock_abi() -> u8 {
    let known = |abi: ABI| {
        let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        if abi == ABI::V7 || abi == ABI::V8 {
            return None; // these add no right that could be requested
        }
        let ruleset = ruleset.handle_access(AccessFs::from_all(abi)).ok()?;
        let scopes = Scope::from_all(abi);
        let ruleset = if scopes.is_empty() { ruleset } else { ruleset.scope(scopes).ok()? };
        let ports = AccessNet::from_all(abi);
        let ruleset = if ports.is_empty() { ruleset } else { ruleset.handle_access(ports).ok()? };
        ruleset.create().ok()
    };
    (1..=9u8).rev().find(|n| known(LEVELS[usize::from(*n) - 1]).is_some()).unwrap_or(0)
}

/// The ABI used for a policy on this host.
#[must_use]
pub fn abi_for(policy: &Policy) -> u8 {
    landlock_abi().min(policy.landlock_ceiling.unwrap_or(u8::MAX))
}

/// Confines this process and its descendants irrevocably.
pub fn confine(policy: &Policy, abi: u8) -> Result<(), ConfineError> {
    let Some(level) = usize::from(abi).checked_sub(1).and_then(|n| LEVELS.get(n)).copied() else {
        return match policy.without_landlock {
            WithoutLandlock::Start => Ok(()),
            WithoutLandlock::Refuse => Err(ConfineError::NoLandlock),
        };
    };
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(level))?;
    if SCOPES <= abi {
        rules = rules.scope(Scope::from_all(level))?;
    }
    if let Network::On(ports) = &policy.network
        && PORTS <= abi
    {
        rules = rules.handle_access(AccessNet::BindTcp)?;
        if !ports.connect.is_empty() {
            rules = rules.handle_access(AccessNet::ConnectTcp)?;
        }
    }
    let mut rules = rules.create()?;
    rules = allow_files(rules, policy, level)?;
    if let Network::On(ports) = &policy.network
        && PORTS <= abi
    {
        for port in &ports.connect {
            rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
        }
    }
    rules.restrict_self()?;
    Ok(())
}

fn allow_files(
    mut rules: RulesetCreated,
    policy: &Policy,
    level: ABI,
) -> Result<RulesetCreated, ConfineError> {
    let concealed: Vec<PathBuf> =
        policy.concealed.iter().filter_map(|path| fs::canonicalize(path).ok()).collect();
    let read = AccessFs::from_read(level);
    for root in SYSTEM.iter().chain(ETC) {
        for path in around(Path::new(root), &concealed) {
            rules = allow(rules, &path, read)?;
        }
    }
    for path in &policy.readable {
        require(path)?;
        for path in around(path, &concealed) {
            rules = allow(rules, &path, read)?;
        }
    }
    for device in DEVICES {
        rules = allow(rules, Path::new(device), AccessFs::from_file(level) & !AccessFs::Execute)?;
    }
    for path in &policy.writable {
        let real = require(path)?;
        if concealed.iter().any(|hidden| hidden.starts_with(&real)) {
            return Err(ConfineError::TooWide(path.clone()));
        }
        rules = allow(rules, &real, AccessFs::from_all(level))?;
    }
    Ok(rules)
}

/// A path that no longer exists is skipped.
fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    let Ok(target) = PathFd::new(path) else { return Ok(rules) };
    let access = match fs::metadata(path) {
        // Rules for files accept file rights only.
        Ok(meta) if !meta.is_dir() => access & AccessFs::from_file(ABI::V9),
        _ => access,
    };
    if access.is_empty() { Ok(rules) } else { rules.add_rule(PathBeneath::new(target, access)) }
}

fn require(path: &Path) -> Result<PathBuf, ConfineError> {
    fs::canonicalize(path).map_err(|source| ConfineError::Path { path: path.to_owned(), source })
}

/// Paths that together cover everything below `root` except concealed folders. Landlock can only grant rights, so the
/// siblings of a concealed folder are listed on each level.
fn around(root: &Path, concealed: &[PathBuf]) -> Vec<PathBuf> {
    let Ok(real) = fs::canonicalize(root) else { return Vec::new() };
    let inside: Vec<&PathBuf> = concealed.iter().filter(|c| c.starts_with(&real)).collect();
    if inside.is_empty() {
        return vec![real];
    }
    if inside.iter().any(|c| **c == real) {
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir(&real) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()))
        .flat_map(|entry| around(&entry.path(), concealed))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_concealed_folder_is_walked_around() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for folder in ["a/b", "a/secret/deep", "c"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::write(root.join("a/file"), "x").unwrap();
        std::os::unix::fs::symlink(root.join("a/secret"), root.join("a/door")).unwrap();

        let mut paths = around(&root, &[root.join("a/secret")]);
        paths.sort();

        assert_eq!(paths, [root.join("a/b"), root.join("a/file"), root.join("c")]);
        assert!(around(&root.join("a/secret"), &[root.join("a/secret")]).is_empty());
        assert_eq!(around(&root.join("c"), &[root.join("a/secret")]), [root.join("c")]);
    }

    #[test]
    fn a_folder_named_inside_a_concealed_one_is_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("data/skills")).unwrap();
        let skills = root.join("data/skills");
        assert_eq!(around(&skills, &[root.join("data")]), [skills]);
    }
}
