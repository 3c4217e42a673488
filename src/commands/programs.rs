//! Knowledge about programs by name. Each table is a list of words in one string.

/// Reserved words of the shell.
const RESERVED: &str =
    "! case coproc do done elif else esac fi for function if in select then until while";

/// Builtins that change the meaning of later names, folders or input.
const STATE: &str = ". alias break builtin continue declare dirs enable eval exec export fc getopts hash \
                     let local mapfile popd pushd read readarray readonly return set shift shopt source trap \
                     typeset ulimit umask unalias unset";

/// Builtins whose only effects are output, a status or a change of folder.
const BUILTINS: &str = ": cd command echo exit false printf pwd test true";

/// Programs that run code from their arguments or input, whatever the arguments are.
const RUNNERS: &str = "at awk batch bunx csh doas ed ex expect fish gawk gmake jq ksh m4 make mawk nawk ninja \
                       npx parallel pkexec pnpx run0 runuser sed ssh su sudo tcsh tmux uvx vi vim watch \
                       xargs zsh";

/// Programs that run a code file, or code in their arguments.
const INTERPRETERS: &str = "ash bash bun dash deno guile julia lua luajit node nodejs osascript perl php pwsh \
                            pypy python rscript ruby sh tclsh ts-node tsx";

/// Programs that only read, unless an option says otherwise.
const LOOKS: &str = ": basename cat cd cmp column comm cut date df diff dirname du echo egrep false fd fgrep \
                     file find grep head id ls md5sum nl nproc od printf pwd readlink realpath rg sha256sum \
                     sort stat strings tail test tr tree true uname wc which whoami";

/// Programs whose effect follows from their arguments alone, without files of instructions.
const PLAIN: &str = "bzip2 chmod cp gunzip gzip ln mkdir mktemp mv paste rm rmdir seq sleep split sum sync tar tee \
                     touch truncate unxz unzip xz zip zstd";

/// Programs that follow files in their folder: build tools, test runners, linters.
const BUILDERS: &str = "ansible ansible-playbook ant bazel bundle cmake composer conda ctest dotnet eslint ghc gradle \
                        gradlew helm invoke jest just lein mix mocha mvn mypy nox php-fpm phpunit pipenv poetry \
                        pre-commit pylint pytest rake rspec ruff scons stack swift task terraform tox tsc vagrant vite \
                        webpack";

/// Options that run another program, read other settings, transmit or destroy.
const CARRIERS: &str = "checkpoint-action compress-program config config-env delete edit editor entrypoint exec \
                        exec-batch exec-path execdir ext-diff extra-index-url files-from files0-from fls force \
                        force-with-lease fprint fprint0 fprintf gcflags git-dir hostname-bin index-url ldflags \
                        mirror node-options ok okdir open-files-in-pager output overlay pager plugin pre \
                        privileged receive-pack registry rsh run script-shell textconv to-command toolexec \
                        upload-pack use-compress-program vettool work-tree wrapper";

/// Short options with the same effects.
const SHORT_CARRIERS: &str = "-C -E -H -I -O -X -c -e -f -o -x";

/// A program with subcommands. Unknown subcommands may be aliases.
pub(crate) struct Tool {
    name: &'static str,
    /// Subcommands whose next word is part of the action.
    deep: &'static str,
    /// Subcommands with effects that a rule may permit with other arguments.
    acts: &'static str,
    /// Subcommands that only read.
    looks: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool {
        name: "git",
        deep: "fetch pull push remote stash worktree",
        acts: "add branch checkout cherry-pick commit merge mv reset restore revert rm switch tag",
        looks: "blame cat-file describe diff grep log ls-files ls-tree rev-list rev-parse shortlog show status",
    },
    Tool {
        name: "cargo",
        deep: "nextest",
        acts: "bench build check clean clippy doc fmt run test update",
        looks: "metadata tree",
    },
    Tool { name: "npm", deep: "run", acts: "audit ci start test", looks: "ls outdated view" },
    Tool { name: "pnpm", deep: "run", acts: "audit start test", looks: "ls outdated" },
    Tool { name: "yarn", deep: "run", acts: "start test", looks: "list outdated" },
    Tool { name: "go", deep: "mod", acts: "build fmt test vet", looks: "doc list version" },
    Tool { name: "docker", deep: "", acts: "restart start stop", looks: "images logs ps" },
    Tool { name: "podman", deep: "", acts: "restart start stop", looks: "images logs ps" },
    Tool { name: "kubectl", deep: "", acts: "", looks: "describe logs top version" },
    Tool { name: "gh", deep: "issue pr release run workflow", acts: "", looks: "" },
    Tool { name: "pip", deep: "", acts: "", looks: "freeze list show" },
];

pub(crate) fn among(table: &str, word: &str) -> bool {
    !word.is_empty()
        && table.as_bytes().split(|byte| *byte == b' ').any(|known| known == word.as_bytes())
}

/// Whether an unquoted word is a reserved word of the shell.
pub(crate) fn is_reserved(word: &str) -> bool {
    among(RESERVED, word)
}

/// Whether a command changes the meaning of later words of its line.
pub(crate) fn changes_the_shell(argv: &[String]) -> bool {
    match argv {
        [name, first, ..] if name == "printf" => first.starts_with("-v"),
        // bash evaluates the subscript of a name.
        [name, rest @ ..] if name == "test" => rest.iter().any(|word| word == "-v"),
        // `command -v` only looks up a name; other uses run it.
        [name, rest @ ..] if name == "command" => {
            !matches!(rest, [flag, _] if flag == "-v" || flag == "-V")
        }
        [name, ..] => among(STATE, name),
        [] => false,
    }
}

/// Base name of a program without a trailing version.
pub(crate) fn family(program: &str) -> &str {
    let name = program.rsplit('/').next().unwrap_or(program);
    let bare = name.trim_end_matches(|sign: char| sign.is_ascii_digit() || sign == '.');
    if bare.is_empty() { name } else { bare }
}

pub(crate) fn is_builtin(name: &str) -> bool {
    among(BUILTINS, name)
}

/// Whether a program only reads, unless an option says otherwise.
pub(crate) fn looks(program: &str) -> bool {
    among(LOOKS, program)
}

pub(crate) fn is_interpreter(program: &str) -> bool {
    among(INTERPRETERS, &family(program).to_ascii_lowercase())
}

/// Whether a program runs code from its arguments or input.
pub(crate) fn is_runner(program: &str) -> bool {
    among(RUNNERS, family(program))
}

/// Whether a program follows files in its folder.
pub(crate) fn builds(program: &str) -> bool {
    among(BUILDERS, &family(program).to_ascii_lowercase())
}

/// Whether a program reads no files of instructions, unless an option says otherwise.
pub(crate) fn is_plain_program(program: &str) -> bool {
    looks(program) || is_builtin(program) || among(PLAIN, program)
}

/// The code file that an interpreter runs.
pub(crate) fn script(argv: &[String]) -> Option<&str> {
    match argv {
        [program, file, ..] if is_interpreter(program) && !file.starts_with('-') => Some(file),
        _ => None,
    }
}

/// Whether a command runs code from its arguments or input.
pub(crate) fn is_inline(argv: &[String]) -> bool {
    let Some((program, words)) = argv.split_first() else { return false };
    let program = family(program);
    if among(RUNNERS, program) {
        return true;
    }
    if matches!(program, "find" | "fd") {
        return words.iter().any(|word| runs_for_each(word));
    }
    is_interpreter(program)
        && match words.first().map(String::as_str) {
            Some("-V" | "--version") => words.len() > 1,
            Some("-m") => !matches!(program, "python" | "pypy") || words.len() < 2,
            Some("eval" | "exec" | "repl" | "x") => matches!(program, "bun" | "deno"),
            Some(word) => word.starts_with('-'),
            None => true,
        }
}

/// Whether an option of `find` or `fd` runs a program for each file.
pub(crate) fn runs_for_each(word: &str) -> bool {
    let begins = ["-exec", "-ok", "-x", "-X", "--ex"].iter().any(|option| word.starts_with(option));
    // `find -xdev` and `-xtype` are file tests.
    begins
        && !matches!(word, "-xdev" | "-xtype" | "-executable")
        && !word.starts_with("--ext")
        && !word.starts_with("--exc")
}

/// Whether an option can run another program, read other settings, transmit or destroy. Long options may be
/// abbreviated, as many programs accept that.
pub(crate) fn carries(option: &str) -> bool {
    let name = option.split_once('=').map_or(option, |(name, _)| name);
    let letters = name.trim_start_matches('-');
    let is_long = name.starts_with("--") || letters.len() > 2 || letters == "ok";
    is_long && !letters.is_empty() && CARRIERS.split(' ').any(|known| known.starts_with(letters))
}

impl Tool {
    pub fn named(program: &str) -> Option<&'static Self> {
        TOOLS.iter().find(|tool| tool.name == program)
    }

    /// Number of words that determine the action, if a rule may leave the others open.
    pub fn act(&self, words: &[String]) -> Option<usize> {
        let first = words.first()?;
        if among(self.deep, first) {
            return words.get(1).filter(|second| is_plain(second)).map(|_| 2);
        }
        (among(self.acts, first) || among(self.looks, first)).then_some(1)
    }

    /// Whether the subcommand only reads.
    pub fn only_looks(&self, words: &[String]) -> bool {
        words.first().is_some_and(|first| among(self.looks, first))
    }

    /// Whether a short option has the effects of [`CARRIERS`].
    pub fn carries(option: &str) -> bool {
        SHORT_CARRIERS.split(' ').any(|short| option.starts_with(short))
    }
}

/// Whether a word is a plain name: no path, address or option.
fn is_plain(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_alphabetic())
        && word.chars().all(|sign| sign.is_ascii_alphanumeric() || "-_:".contains(sign))
}
