//! Programs that download a package and run it: `npx`, `bunx`, `pnpx`, `uvx` and `pipx run`. A package without an exact
//! version could be another program tomorrow, so it is not approved. The newest version can be entered for a package
//! that names none.

use std::ops::Range;

use kernel::text::ellipsis;

use crate::flags::{BUN, Flags, NPM, PIPX, PNPM, UV, YARN};

/// The programs that this module reads.
const RUNNERS: [&str; 10] =
    ["npx", "bunx", "pnpx", "npm", "pnpm", "yarn", "bun", "uvx", "uv", "pipx"];
/// Programs that start the program in their arguments.
const WRAPPERS: [&str; 16] = [
    "env", "sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "busybox", "nice", "nohup", "setsid",
    "stdbuf", "sudo", "timeout", "xargs",
];
/// Flags that name another registry than the one that HQ asks, or a file that can.
const ELSEWHERE: [&str; 11] = [
    "--registry",
    "--userconfig",
    "--globalconfig",
    "--index",
    "--default-index",
    "--index-url",
    "--extra-index-url",
    "--find-links",
    "--config-file",
    "-i",
    "-f",
];
/// Variables that do the same. npm reads its own in any case.
const ELSEWHERE_VARIABLES: [&str; 12] = [
    "NPM_CONFIG_REGISTRY",
    "NPM_CONFIG_USERCONFIG",
    "NPM_CONFIG_GLOBALCONFIG",
    "PNPM_CONFIG_REGISTRY",
    "UV_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_CONFIG_FILE",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
];
/// Flags that name the package of the program, whose name is then the first word.
const SOURCES: [&str; 2] = ["--from", "--spec"];
/// Longest version in bytes.
const MAX_VERSION: usize = 64;
/// Characters of a flag in a message.
const MAX_SHOWN: usize = 100;

/// Where packages come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registry {
    Npm,
    Pypi,
}

/// A package without a version, or with `latest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    pub registry: Registry,
    /// Its name in the registry.
    pub name: String,
    /// As the command names it.
    text: String,
    /// Index of its word in the command.
    word: usize,
    /// Its bytes in this word.
    at: Range<usize>,
}

impl Open {
    /// The command with this version of the package; `None` if it is not one exact version.
    #[must_use]
    pub fn pinned(&self, command: &[String], version: &str) -> Option<Vec<String>> {
        let exact = format!("{}{}{version}", bare(&self.text), self.registry.sign());
        let is_short = version.len() <= MAX_VERSION;
        if !is_short || !is_plain(version) || !self.registry.is_exact(&exact) {
            return None;
        }
        let mut command = command.to_vec();
        command.get_mut(self.word)?.replace_range(self.at.clone(), &exact);
        Some(command)
    }

    /// Why the package is refused. `detail` is a sentence about the registry.
    #[must_use]
    pub fn refusal(&self, detail: &str) -> String {
        refusal(self.registry, &self.text, &format!("{detail} "))
    }
}

/// The first package of a command that has no exact version, if one can be looked up.
#[must_use]
pub fn open(command: &[String]) -> Option<Open> {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    // ok: a command that can't be read is refused as it is.
    let Found { registry, packages, is_elsewhere } = packages(&words).ok()??;
    let package = packages.into_iter().find(|one| !registry.is_exact(one.text))?;
    let name = bare(package.text);
    let is_open = matches!(&package.text[name.len()..], "" | "@latest");
    // A runner would run a package of its own.
    let is_plain = registry.is_name(name) && !RUNNERS.contains(&name);
    if !is_open || !is_plain || is_elsewhere {
        return None;
    }
    Some(Open {
        registry,
        name: name.split('[').next().unwrap_or(name).to_owned(),
        text: package.text.to_owned(),
        word: package.word,
        at: package.offset..package.offset + package.text.len(),
    })
}

/// The first of these `KEY=value` variables that names another registry than the one that HQ asks.
#[must_use]
pub fn elsewhere<'v>(variables: &[&'v str]) -> Option<&'v str> {
    let names = variables.iter().map(|line| line.split_once('=').map_or(*line, |(name, _)| name));
    let mut names = names.map(str::trim);
    names.find(|name| ELSEWHERE_VARIABLES.iter().any(|one| one.eq_ignore_ascii_case(name)))
}

/// Why a command does not always run the same package, and how to name a version. `None` if it does.
#[must_use]
pub fn unpinned(command: &[String]) -> Option<String> {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let Found { registry, packages, .. } = match packages(&words) {
        Ok(found) => found?,
        Err(why) => return Some(why),
    };
    if packages.is_empty() {
        return Some("The command names no package. Name one with its version.".to_owned());
    }
    let loose = packages.iter().find(|one| !registry.is_exact(one.text))?;
    Some(refusal(registry, loose.text, ""))
}

/// Why a package is refused. `detail` is empty or ends with a space.
fn refusal(registry: Registry, package: &str, detail: &str) -> String {
    let (name, sign) = (bare(package), registry.sign());
    match registry.is_name(name) {
        true => format!(
            "{package} has no exact version, so it could change after your approval. {detail}Write it as \
             {name}{sign}1.2.3 with the version that you want."
        ),
        false => format!(
            "{package} could change after your approval. Name packages of the registry, each with its exact version."
        ),
    }
}

impl Registry {
    /// What is between a name and a version.
    fn sign(self) -> &'static str {
        match self {
            Self::Npm => "@",
            Self::Pypi => "==",
        }
    }

    fn is_exact(self, package: &str) -> bool {
        match self {
            Self::Npm => is_npm_exact(package),
            Self::Pypi => is_python_exact(package),
        }
    }

    fn is_name(self, name: &str) -> bool {
        is_name(name, self == Self::Pypi)
    }
}

/// A package that a command names.
#[derive(Clone, Copy)]
struct Package<'w> {
    text: &'w str,
    /// Index of its word in the command.
    word: usize,
    /// Byte offset in this word.
    offset: usize,
}

impl<'w> Package<'w> {
    /// The end of a word, from this text on.
    fn ending(self, text: &'w str) -> Self {
        Self { text, offset: self.offset + self.text.len() - text.len(), ..self }
    }

    /// The items of a list with commas.
    fn items(self) -> impl Iterator<Item = Self> {
        let mut offset = self.offset;
        self.text.split(',').map(move |text| {
            let item = Self { text, offset, ..self };
            offset += text.len() + 1;
            item
        })
    }
}

/// The packages of a command, and where they come from.
struct Found<'w> {
    registry: Registry,
    packages: Vec<Package<'w>>,
    /// Whether the command names another registry than the one that HQ asks.
    is_elsewhere: bool,
}

/// The packages that a command downloads and runs, or why they can't be seen. `None` if it runs none.
fn packages<'w>(words: &[&'w str]) -> Result<Option<Found<'w>>, String> {
    let Some((program, rest)) = words.split_first() else { return Ok(None) };
    let program = file_name(program);
    if WRAPPERS.contains(&program) {
        let cut = |c: char| c.is_whitespace() || ";&|()`'\"".contains(c);
        let mut words = rest.iter().flat_map(|word| word.split(cut)).map(file_name);
        let Some(runner) = words.find(|word| RUNNERS.contains(word)) else { return Ok(None) };
        return Err(format!(
            "{runner} is inside another command, so HQ can’t see what it runs. Start it directly, without {program}."
        ));
    }
    match rest {
        ["-m", module @ ("uv" | "pipx"), ..] if program.starts_with("python") => {
            packages_of(module, words, 3)
        }
        _ => packages_of(program, words, 1),
    }
}

fn file_name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// The packages of a program whose arguments begin at `start`.
fn packages_of<'w>(
    program: &str,
    words: &[&'w str],
    start: usize,
) -> Result<Option<Found<'w>>, String> {
    let (flags, commands): (&Flags, &[&str]) = match program {
        "npx" => (&NPM, &[]),
        "npm" => (&NPM, &["exec", "exe", "x"]),
        "pnpx" => (&PNPM, &[]),
        "pnpm" => (&PNPM, &["dlx"]),
        "bunx" => (&BUN, &[]),
        "bun" => (&BUN, &["x"]),
        "yarn" => (&YARN, &["dlx"]),
        "uvx" => (&UV, &[]),
        "uv" => (&UV, &["run", "uvx"]),
        "pipx" => (&PIPX, &["run"]),
        _ => return Ok(None),
    };
    let mut line = Line::new(flags, words, start);
    let mut before = "";
    if !commands.is_empty() {
        // Other commands may have any flags.
        if !words[start..].iter().any(|word| commands.contains(word)) {
            return Ok(None);
        }
        loop {
            match line.word()? {
                None => return Ok(None),
                Some(word) if commands.contains(&word.text) => break,
                Some(word) => before = word.text,
            }
        }
    }
    let first = line.word()?;
    if program == "npm" {
        line.check_rest()?;
    }
    // The first word of `uv run` is a program or file of this machine, unless it is one of these.
    let is_script = program == "uv" && before != "tool";
    let is_foreign =
        |one: &Package<'_>| one.text.contains("://") || RUNNERS.contains(&file_name(one.text));
    let first = first.filter(|one| match flags.registry {
        _ if is_script => is_foreign(one),
        Registry::Npm => line.packages.is_empty(),
        Registry::Pypi => !line.has_source,
    });
    let Line { mut packages, is_elsewhere, .. } = line;
    packages.extend(first);
    if is_script && packages.is_empty() {
        return Ok(None);
    }
    Ok(Some(Found { registry: flags.registry, packages, is_elsewhere }))
}

/// The words of a command line, read from the left.
struct Line<'l, 'w> {
    flags: &'static Flags,
    words: &'l [&'w str],
    /// Index of the next word.
    at: usize,
    /// Whether `--` was read, so that no flags follow.
    is_past_flags: bool,
    /// The packages that flags name.
    packages: Vec<Package<'w>>,
    /// Whether one of them has the program.
    has_source: bool,
    /// Whether a flag names another registry.
    is_elsewhere: bool,
}

impl<'l, 'w> Line<'l, 'w> {
    fn new(flags: &'static Flags, words: &'l [&'w str], at: usize) -> Self {
        Self {
            flags,
            words,
            at,
            is_past_flags: false,
            packages: Vec::new(),
            has_source: false,
            is_elsewhere: false,
        }
    }

    fn take(&mut self) -> Option<Package<'w>> {
        let text = *self.words.get(self.at)?;
        let word = self.at;
        self.at += 1;
        Some(Package { text, word, offset: 0 })
    }

    /// The next word that is no flag, or why a flag before it can't be read.
    fn word(&mut self) -> Result<Option<Package<'w>>, String> {
        while let Some(word) = self.take() {
            match word.text {
                text if self.is_past_flags || !text.starts_with('-') => return Ok(Some(word)),
                "--" => self.is_past_flags = true,
                _ => self.flag(word)?,
            }
        }
        Ok(None)
    }

    fn flag(&mut self, word: Package<'w>) -> Result<(), String> {
        let flags = self.flags;
        let (flag, value) = match word.text.split_once('=') {
            Some((flag, value)) => (flag, Some(word.ending(value))),
            None => (word.text, None),
        };
        // npm has a flag for the registry of each scope.
        let is_scope = flag.starts_with("--@") && flag.ends_with(":registry");
        self.is_elsewhere |= is_scope || ELSEWHERE.contains(&flag);
        if flags.opaque.contains(&flag) {
            return Err(refusal(flags.registry, flag, ""));
        }
        if flags.packages.contains(&flag) {
            self.has_source |= SOURCES.contains(&flag);
            let value = value.or_else(|| self.take());
            match flags.registry {
                Registry::Npm => self.packages.extend(value),
                Registry::Pypi => self.packages.extend(value.into_iter().flat_map(Package::items)),
            }
            return Ok(());
        }
        let is_valued = flags.valued.contains(&flag);
        let is_known = match value {
            Some(_) => {
                let is_long = flag.len() > 2 && flag.starts_with("--");
                is_valued || is_scope || (flags.has_plain_values && is_long)
            }
            None if is_valued => self.take().is_some_and(|value| !value.text.starts_with('-')),
            None => flags.plain.contains(&flag),
        };
        if is_known { Ok(()) } else { Err(self.unknown(word.text)) }
    }

    /// Refuses flags after the package that npm reads itself.
    fn check_rest(&self) -> Result<(), String> {
        let mut rest = self.words[self.at..].iter().take_while(|word| **word != "--");
        let flag = rest.find(|word| word.starts_with('-'));
        match flag.filter(|_| !self.is_past_flags) {
            None => Ok(()),
            Some(flag) => Err(format!(
                "npm would read {} itself. Write -- before the package, so that the program gets it.",
                ellipsis(flag, MAX_SHOWN)
            )),
        }
    }

    fn unknown(&self, flag: &str) -> String {
        let may_have_value = self.flags.has_plain_values && flag.starts_with("--");
        let flag = ellipsis(flag, MAX_SHOWN);
        let way = match may_have_value {
            true => format!("Write {flag}=value"),
            false => "Leave it out".to_owned(),
        };
        format!("HQ can’t tell what {flag} means here. {way}, or put it after the package.")
    }
}

/// `name@1.2.3` or `@scope/name@1.2.3`, from the registry.
fn is_npm_exact(package: &str) -> bool {
    let name = bare(package);
    let version = package[name.len()..].strip_prefix('@');
    is_name(name, false) && version.is_some_and(is_semver)
}

/// `name==1.2.3`, `name[extra]==1.2` or `name@1.2.3`, from the registry.
fn is_python_exact(package: &str) -> bool {
    let name = bare(package);
    let rest = &package[name.len()..];
    let version = rest.strip_prefix("==").or_else(|| rest.strip_prefix('@'));
    is_name(name.trim(), true) && version.is_some_and(|version| is_version(version.trim()))
}

/// Whether it can be the name of a package in the registry, and not an address or a folder.
fn is_name(name: &str, is_python: bool) -> bool {
    let plain = |text: &str| {
        !text.is_empty()
            && !text.starts_with(['.', '-'])
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    match (is_python, name.split_once('['), name.split_once('/')) {
        (true, Some((name, extras)), _) => {
            plain(name) && extras.strip_suffix(']').is_some_and(|all| all.split(',').all(plain))
        }
        (false, _, Some((scope, name))) => {
            scope.strip_prefix('@').is_some_and(plain) && plain(name)
        }
        _ => plain(name),
    }
}

/// Whether it is one version of three numbers and not a range. npm takes anything else for a tag, which can move.
fn is_semver(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or(text);
    let has_all = text.split(['.', '-', '+']).all(|part| !part.is_empty());
    let is_core = core.split('.').count() == 3 && core.split('.').all(is_number);
    is_plain(text) && has_all && is_core
}

/// Whether it is one version, not a range or tag: it begins with a number.
fn is_version(text: &str) -> bool {
    is_plain(text) && text.split(['.', '-', '+']).next().is_some_and(is_number)
}

fn is_plain(version: &str) -> bool {
    version.chars().all(|c| c.is_ascii_alphanumeric() || ".-+".contains(c))
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())
}

/// The name of a package without a version.
fn bare(package: &str) -> &str {
    let from = usize::from(package.starts_with('@'));
    let end = package[from..].find(['@', '=', '<', '>', '~']).map_or(package.len(), |at| from + at);
    &package[..end]
}

#[cfg(test)]
mod tests {
    use super::{Open, Registry, elsewhere, open, unpinned};

    fn words(command: &str) -> Vec<String> {
        command.split(' ').map(str::to_owned).collect()
    }

    fn loose(command: &str) -> bool {
        unpinned(&words(command)).is_some()
    }

    #[test]
    fn packages_need_an_exact_version() {
        for pinned in [
            "npx -y @modelcontextprotocol/server-filesystem@2026.1.14 /srv",
            "npx --package=tool@1.2.3 tool",
            "/usr/bin/npx -p a@1.0.0 -p b@2.0.0-rc.1 a",
            "uvx mcp-server-time==2026.1.1",
            "uvx --from mcp-server-time==1.0 mcp-server-time",
            "uvx ruff@0.3.0",
            "pipx run --spec black==24.1.0 black",
            "uvx --with=extra==1.0 mcp[cli,x]==1.0",
            "uv --quiet tool run tool==1.0",
            "uv run server.py",
            "uv --directory /srv run --with extra==1.0 server.py",
            "npm --yes exec x@1.2.3",
            "python3 -m pipx run black==24.1.0",
            "env KEY=1 node /srv/server.js",
            "bash /srv/start.sh",
            "node /srv/server.js",
            "python3 -m server",
            "npx --loglevel silent tool@1.2.3",
            "npx -y tool@1.2.3 --color never",
            "npm exec -y -- tool@1.2.3 --port 1",
            "npm --color always run start",
            "pnpm --package=a@1.2.3 dlx b",
            "uvx --color never tool==1.0 --from x",
            "uvx --fork-strategy=fewest tool==1.0",
            "uv run --extra dev server.py tool run x",
            "uv tool --quiet run tool==1.0",
        ] {
            assert!(!loose(pinned), "{pinned}");
        }
        for open in [
            "npx -y @modelcontextprotocol/server-filesystem /srv",
            "npx tool@latest",
            "npx tool@^1.2.3",
            "npx tool@1",
            "npx tool@1.2.3.4",
            "npx tool@1.2.3-",
            "npx",
            "npm exec tool",
            "bunx tool",
            "uvx mcp-server-time",
            "uvx --from git+https://example.com/a b",
            "uvx tool@latest",
            "uvx --with extra tool==1.0",
            "pipx run black",
            "uvx --from git+https://h/x@1.2.3 b",
            "npx https://h/a@1.2.3",
            "npx github:a/b@1.2.3",
            "npx a/b@1.2.3",
            "npx a@npm:b@1.2.3",
            "npx ./a@1.2.3",
            "npx -p a@1.2.3 -c b",
            "uvx --with=extra tool==1.0",
            "uvx --with a==1.0,b tool==1.0",
            "uvx --with-editable /srv/a tool==1.0",
            "uvx --with-requirements=a.txt tool==1.0",
            "uv run --with pkg server.py",
            "uv run https://h/a.py",
            "uv run npx x",
            "uv --quiet tool run x",
            "uv --directory /srv tool run x",
            "npm --yes exec x",
            "npm --prefix /srv exec x",
            "python3 -m uv tool run x",
            "env npx x@1.2.3",
            "/usr/bin/env -i A=1 /usr/bin/npx x",
            "sh -c npx;x",
            "npx --loglevel silent tool",
            "npx --color never tool@1.2.3",
            "npx --color=never tool@1.2.3",
            "npx --yes=other tool@1.2.3",
            "npx --no-audit tool@1.2.3",
            "npx --cal=other tool@1.2.3",
            "npx -package other tool@1.2.3",
            "npx --loglevel -y tool@1.2.3",
            "npm --color always exec tool@1.2.3",
            "npm exec tool@1.2.3 --package=other",
            "pnpm --package=a dlx b",
            "pnpm --package a dlx b@1.2.3",
            "pnpm -c dlx x@1.2.3",
            "bunx --loglevel silent tool@1.2.3",
            "uvx --fork-strategy fewest tool==1.0",
            "uvx -wother tool==1.0",
            "uvx --color never tool",
            "uvx --prerelease allow tool",
            "uv tool --quiet run x",
            "pipx run --sp=other tool==1.0",
        ] {
            assert!(loose(open), "{open}");
        }
    }

    #[test]
    fn the_refusal_says_how_to_name_a_version() {
        let command = ["npx", "-y", "@a/b@latest"].map(str::to_owned);
        assert!(unpinned(&command).is_some_and(|why| why.contains("@a/b@1.2.3")));
    }

    #[test]
    fn a_flag_that_hq_does_not_know_is_refused() {
        for (command, why) in [
            (
                "uvx --x y tool==1.0",
                "HQ can’t tell what --x means here. Write --x=value, or put it after the package.",
            ),
            (
                "npx --x=y tool@1.2.3",
                "HQ can’t tell what --x=y means here. Leave it out, or put it after the package.",
            ),
            (
                "npm exec tool@1.2.3 --x",
                "npm would read --x itself. Write -- before the package, so that the program gets it.",
            ),
        ] {
            assert_eq!(unpinned(&words(command)).as_deref(), Some(why), "{command}");
            assert_eq!(open(&words(command)), None, "{command}");
        }
    }

    #[test]
    fn variables_can_name_another_registry() {
        for name in ["npm_config_registry", "NPM_CONFIG_REGISTRY", "UV_INDEX", "PIP_INDEX_URL"] {
            let line = format!("{name}=https://a.example");
            assert_eq!(elsewhere(&["KEY=1", &line]), Some(name));
        }
        assert_eq!(elsewhere(&["KEY=UV_INDEX", "UV_INDEX_STRATEGY=first-index"]), None);
    }

    /// The command with this version of all its packages.
    fn pinned(command: &str, version: &str) -> Option<String> {
        let mut command = words(command);
        while let Some(open) = open(&command) {
            command = open.pinned(&command, version)?;
        }
        Some(command.join(" ")).filter(|_| unpinned(&command).is_none())
    }

    #[test]
    fn a_package_without_a_version_gets_one_where_it_is_named() {
        for (command, wanted) in [
            ("npx -y tool tool", "npx -y tool@1.2.3 tool"),
            ("npx -y @a/b@latest /srv", "npx -y @a/b@1.2.3 /srv"),
            ("npx -p tool tool", "npx -p tool@1.2.3 tool"),
            ("npx --cache tool --package=tool tool", "npx --cache tool --package=tool@1.2.3 tool"),
            ("npx -p a@1.0.0 -p b a", "npx -p a@1.0.0 -p b@1.2.3 a"),
            ("npm --yes exec x", "npm --yes exec x@1.2.3"),
            ("pnpm dlx x", "pnpm dlx x@1.2.3"),
            ("uvx tool", "uvx tool==1.2.3"),
            ("uvx tool@latest --index x", "uvx tool==1.2.3 --index x"),
            ("uvx --from mcp[cli] mcp", "uvx --from mcp[cli]==1.2.3 mcp"),
            ("uvx --with=a==1.0,b tool", "uvx --with=a==1.0,b==1.2.3 tool==1.2.3"),
            ("python3 -m uv tool run x", "python3 -m uv tool run x==1.2.3"),
            ("uv run --with pkg server.py", "uv run --with pkg==1.2.3 server.py"),
            ("node server.js", "node server.js"),
            ("npx --loglevel silent tool", "npx --loglevel silent tool@1.2.3"),
            ("npx -p a b --registry c", "npx -p a@1.2.3 b --registry c"),
            ("pnpm --package=a dlx b", "pnpm --package=a@1.2.3 dlx b"),
            ("uvx --color never tool", "uvx --color never tool==1.2.3"),
            ("uvx --prerelease allow tool", "uvx --prerelease allow tool==1.2.3"),
            ("uvx --from tool tool --index x", "uvx --from tool==1.2.3 tool --index x"),
        ] {
            assert_eq!(pinned(command, "1.2.3").as_deref(), Some(wanted), "{command}");
        }
    }

    #[test]
    fn what_no_registry_knows_is_left_to_a_person() {
        for command in [
            "npx tool@^1.2.3",
            "npx tool@next",
            "npx github:a/b",
            "npx ./a",
            "npx --registry https://a.example tool",
            "npx -p tool --registry https://own.example tool",
            "npx --@a:registry=https://own.example @a/b",
            "npx --userconfig npmrc tool",
            "uvx --from tool --index https://own.example tool",
            "npx -c tool",
            "npx",
            "uvx tool>=1.0",
            "uvx --from git+https://example.com/a b",
            "uvx --index-url=https://a.example tool",
            "uvx --with-requirements=a.txt tool",
            "uv run npx x",
            "env npx x",
        ] {
            assert_eq!(open(&words(command)), None, "{command}");
            assert_eq!(pinned(command, "1.2.3"), None, "{command}");
        }
    }

    #[test]
    fn only_one_exact_version_is_entered() {
        let npm = ["1.2", "1.2.3.4", "latest", "^1.2.3", "1.2.3 x", "1.2.3\n", "1.2.3;x", ""];
        for version in npm {
            assert_eq!(pinned("npx tool", version), None, "{version}");
        }
        let long = format!("1.2.3-{}", "a".repeat(60));
        for version in ["x", "1.*", " 1.0", "1.0\n", "1.0,b", "1.0 --with b", "", long.as_str()] {
            assert_eq!(pinned("uvx tool", version), None, "{version}");
        }
        assert!(pinned("npx tool", "2.0.0-rc.1+b").is_some());
        assert!(pinned("uvx tool", "2024.1rc1.post1").is_some());
    }

    #[test]
    fn a_package_is_looked_up_by_its_name_alone() {
        let npm = open(&words("npx -y @a/b@latest"));
        let pypi = open(&words("uvx mcp[cli]"));
        let asked = |open: Option<Open>| open.map(|open| (open.registry, open.name));
        assert_eq!(asked(npm), Some((Registry::Npm, "@a/b".to_owned())));
        assert_eq!(asked(pypi), Some((Registry::Pypi, "mcp".to_owned())));
    }
}
