//! Programs that download a package and run it: `npx`, `bunx`, `pnpx`, `uvx` and `pipx run`. A package without an exact
//! version could be another program tomorrow, so it is not approved.

/// The programs that this module reads.
const RUNNERS: [&str; 10] =
    ["npx", "bunx", "pnpx", "npm", "pnpm", "yarn", "bun", "uvx", "uv", "pipx"];
/// Programs that start the program in their arguments.
const WRAPPERS: [&str; 16] = [
    "env", "sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "busybox", "nice", "nohup", "setsid",
    "stdbuf", "sudo", "timeout", "xargs",
];

/// Why a command does not always run the same package, and how to name a version. `None` if it does.
#[must_use]
pub fn unpinned(command: &[String]) -> Option<String> {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let (program, rest) = words.split_first()?;
    let program = file_name(program);
    if WRAPPERS.contains(&program) {
        let cut = |c: char| c.is_whitespace() || ";&|()`'\"".contains(c);
        let mut words = rest.iter().flat_map(|word| word.split(cut)).map(file_name);
        let runner = words.find(|word| RUNNERS.contains(word))?;
        return Some(format!(
            "{runner} is inside of another command, so that HQ can’t see what it runs. Start it itself, without \
             {program}."
        ));
    }
    match (program, rest) {
        (python, ["-m", module @ ("uv" | "pipx"), rest @ ..]) if python.starts_with("python") => {
            loose(module, rest)
        }
        (program, rest) => loose(program, rest),
    }
}

fn file_name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// The words after the first of these sequences. Flags may be before it.
fn after<'w, 's>(words: &'s [&'w str], sequences: &[&[&'w str]]) -> Option<&'s [&'w str]> {
    (0..words.len()).find_map(|at| {
        let rest = &words[at..];
        sequences.iter().find_map(|sequence| rest.strip_prefix(*sequence))
    })
}

/// Why a program with these arguments does not always run the same packages.
fn loose(program: &str, words: &[&str]) -> Option<String> {
    let (packages, is_python) = match program {
        "npx" | "bunx" | "pnpx" => (npm(words), false),
        "npm" => (npm(after(words, &[&["exec"], &["x"]])?), false),
        "pnpm" | "yarn" => (npm(after(words, &[&["dlx"]])?), false),
        "bun" => (npm(after(words, &[&["x"]])?), false),
        "uvx" => (python(words).all(), true),
        "pipx" => (python(after(words, &[&["run"]])?).all(), true),
        "uv" => match (after(words, &[&["tool", "run"]]), after(words, &[&["run"]])) {
            (Some(words), _) => (python(words).all(), true),
            (None, Some(words)) => {
                let Python { named, first } = python(words);
                // Otherwise the first word is a program or file of this machine.
                let is_foreign =
                    |word: &&str| word.contains("://") || RUNNERS.contains(&file_name(word));
                let all: Vec<&str> = named.into_iter().chain(first.filter(is_foreign)).collect();
                if all.is_empty() {
                    return None;
                }
                (all, true)
            }
            (None, None) => return None,
        },
        _ => return None,
    };
    let loose = match packages.as_slice() {
        [] => return Some("The command names no package. Name one with its version.".to_owned()),
        all => all.iter().find(|one| !if is_python { is_exact(one) } else { is_npm_exact(one) })?,
    };
    let example = match (is_python, bare(loose)) {
        (true, name) => format!("{name}==1.2.3"),
        (false, name) => format!("{name}@1.2.3"),
    };
    Some(match is_name(bare(loose), is_python) {
        true => format!(
            "{loose} has no exact version, so that it could change after your approval. Write it as {example} with \
             the version that you want."
        ),
        false => format!(
            "{loose} could change after your approval. Name packages of the registry, each with its exact version."
        ),
    })
}

/// The packages of a command line of npm: those of `--package`, else the first word. A command for a shell could run
/// others.
fn npm<'w>(words: &[&'w str]) -> Vec<&'w str> {
    let (mut named, mut first, mut at) = (Vec::new(), None, words.iter());
    while let Some(word) = at.next() {
        match *word {
            "-p" | "--package" => named.extend(at.next()),
            "--cache" | "--registry" | "--prefix" => drop(at.next()),
            "-c" | "--call" => named.push(*word),
            "--" => continue,
            word => match word.strip_prefix("--package=").or_else(|| word.strip_prefix("-p=")) {
                Some(package) => named.push(package),
                None if word.starts_with("--call=") || word.starts_with("-c=") => named.push(word),
                None if word.starts_with('-') => {}
                None => {
                    first = Some(word);
                    break;
                }
            },
        }
    }
    if named.is_empty() { first.into_iter().collect() } else { named }
}

/// The packages of a command line of uv or pipx.
struct Python<'w> {
    /// Those of `--from`, `--spec` and `--with`. Files and folders that name packages are kept as their flag.
    named: Vec<&'w str>,
    /// The first word, unless `--from` or `--spec` names its package.
    first: Option<&'w str>,
}

impl<'w> Python<'w> {
    fn all(self) -> Vec<&'w str> {
        self.named.into_iter().chain(self.first).collect()
    }
}

fn python<'w>(words: &[&'w str]) -> Python<'w> {
    const VALUED: [&str; 14] = [
        "-p",
        "--python",
        "-i",
        "--index",
        "--default-index",
        "--index-url",
        "--extra-index-url",
        "-f",
        "--find-links",
        "--cache-dir",
        "--directory",
        "--project",
        "--config-file",
        "--env-file",
    ];
    let (mut named, mut has_source, mut at) = (Vec::new(), false, words.iter());
    while let Some(word) = at.next() {
        let (flag, mut value) = match word.split_once('=') {
            Some((flag, value)) if flag.starts_with('-') => (flag, Some(value)),
            _ => (*word, None),
        };
        match flag {
            "--from" | "--spec" | "--with" | "-w" => {
                has_source |= matches!(flag, "--from" | "--spec");
                value = value.or_else(|| at.next().copied());
                named.extend(value.into_iter().flat_map(|value| value.split(',')));
            }
            "--" => {}
            flag if flag.starts_with("--with-") || flag == "--pip-args" => {
                named.push(flag);
                if value.is_none() {
                    at.next();
                }
            }
            flag if VALUED.contains(&flag) => {
                if value.is_none() {
                    at.next();
                }
            }
            flag if flag.starts_with('-') => {}
            word => {
                let first = Some(word).filter(|_| !has_source);
                return Python { named, first };
            }
        }
    }
    Python { named, first: None }
}

/// `name@1.2.3` or `@scope/name@1.2.3`, from the registry.
fn is_npm_exact(package: &str) -> bool {
    let name = bare(package);
    let version = package[name.len()..].strip_prefix('@');
    is_name(name, false) && version.is_some_and(|version| is_version(version, 3))
}

/// `name==1.2.3`, `name[extra]==1.2` or `name@1.2.3`, from the registry.
fn is_exact(package: &str) -> bool {
    let name = bare(package);
    let rest = &package[name.len()..];
    let version = rest.strip_prefix("==").or_else(|| rest.strip_prefix('@'));
    is_name(name.trim(), true) && version.is_some_and(|version| is_version(version.trim(), 1))
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

/// Whether it is one version, not a range or tag: it begins with `parts` numbers.
fn is_version(text: &str, parts: usize) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-+!".contains(c);
    let numbers = text.split(['.', '-', '+']).take(parts);
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    text.chars().all(plain) && text.split('.').count() >= parts && {
        let all: Vec<&str> = numbers.collect();
        all.len() == parts && all.iter().all(|part| is_number(part))
    }
}

/// The name of a package without a version.
fn bare(package: &str) -> &str {
    let from = usize::from(package.starts_with('@'));
    let end = package[from..].find(['@', '=', '<', '>', '~']).map_or(package.len(), |at| from + at);
    &package[..end]
}

#[cfg(test)]
mod tests {
    use super::unpinned;

    fn loose(command: &str) -> bool {
        unpinned(&command.split(' ').map(str::to_owned).collect::<Vec<_>>()).is_some()
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
        ] {
            assert!(!loose(pinned), "{pinned}");
        }
        for open in [
            "npx -y @modelcontextprotocol/server-filesystem /srv",
            "npx tool@latest",
            "npx tool@^1.2.3",
            "npx tool@1",
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
        ] {
            assert!(loose(open), "{open}");
        }
    }

    #[test]
    fn the_refusal_says_how_to_name_a_version() {
        let command = ["npx", "-y", "@a/b@latest"].map(str::to_owned);
        assert!(unpinned(&command).is_some_and(|why| why.contains("@a/b@1.2.3")));
    }
}
