//! What is known of programs by their names. Each table is a line of words.

/// Words of the shell's grammar where a command begins.
const RESERVED: &str =
    "! case coproc do done elif else esac fi for function if in select then until while";

/// Words of the shell after which names, folders or input mean something else.
const STATE: &str = ". alias break builtin continue declare dirs enable eval exec export fc getopts hash \
                     let local mapfile popd pushd read readarray readonly return set shift shopt source trap \
                     typeset ulimit umask unalias unset";

/// Words that each shell does itself, with nothing but output, a status or another folder.
const BUILTINS: &str = ": cd command echo exit false printf pwd test true";

/// Programs that run what their words or their input say, whatever the words are.
const RUNNERS: &str = "at awk batch bunx csh doas ed ex expect fish gawk gmake jq ksh m4 make mawk nawk ninja \
                       npx parallel pkexec pnpx run0 runuser sed ssh su sudo tcsh tmux uvx vi vim watch \
                       xargs zsh";

/// Programs that run a file of code, or code among their words.
const INTERPRETERS: &str = "ash bash bun dash deno guile julia lua luajit node nodejs osascript perl php pwsh \
                            pypy python rscript ruby sh tclsh ts-node tsx";

/// Programs that only look, unless an option says otherwise.
const LOOKS: &str = ": basename cat cd cmp column comm cut date df diff dirname du echo egrep false fd fgrep \
                     file find grep head id ls md5sum nl nproc od printf pwd readlink realpath rg sha256sum \
                     sort stat strings tail test tr tree true uname wc which whoami";

/// Programs that do what their words say, and read no files for what they do.
const PLAIN: &str = "bzip2 chmod cp gunzip gzip ln mkdir mktemp mv paste rm rmdir seq sleep split sum sync tar tee \
                     touch truncate unxz unzip xz zip zstd";

/// Programs that do what files of the folder in which they run say: builders, and what tests or checks code.
const BUILDERS: &str = "ansible ansible-playbook ant bazel bundle cmake composer conda ctest dotnet eslint ghc gradle \
                        gradlew helm invoke jest just lein mix mocha mvn mypy nox php-fpm phpunit pipenv poetry \
                        pre-commit pylint pytest rake rspec ruff scons stack swift task terraform tox tsc vagrant vite \
                        webpack";

/// Options by which a program runs another one, reads other settings, sends or destroys.
const CARRIERS: &str = "checkpoint-action compress-program config config-env delete edit editor entrypoint exec \
                        exec-batch exec-path execdir ext-diff extra-index-url files-from files0-from fls force \
                        force-with-lease fprint fprint0 fprintf gcflags git-dir hostname-bin index-url ldflags \
                        mirror node-options ok okdir open-files-in-pager output overlay pager plugin pre \
                        privileged receive-pack registry rsh run script-shell textconv to-command toolexec \
                        upload-pack use-compress-program vettool work-tree wrapper";

/// Short options of tools with the same power.
const SHORT_CARRIERS: &str = "-C -E -H -I -O -X -c -e -f -o -x";

/// A program whose first word says what it does. Words that are not named here may be somebody's alias.
pub(crate) struct Tool {
    name: &'static str,
    /// First words after which a second one is part of what it does.
    deep: &'static str,
    /// First words that do something, and may be followed by others within a rule.
    acts: &'static str,
    /// First words that only look.
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

/// Whether a table has a word.
pub(crate) fn among(table: &str, word: &str) -> bool {
    !word.is_empty()
        && table.as_bytes().split(|byte| *byte == b' ').any(|known| known == word.as_bytes())
}

/// Whether a word that is not quoted belongs to the shell's grammar.
pub(crate) fn is_reserved(word: &str) -> bool {
    among(RESERVED, word)
}

/// Whether a command changes what later words of its line mean.
pub(crate) fn changes_the_shell(argv: &[String]) -> bool {
    match argv {
        [name, first, ..] if name == "printf" => first.starts_with("-v"),
        // bash works out what stands in the brackets of a name.
        [name, rest @ ..] if name == "test" => rest.iter().any(|word| word == "-v"),
        // `command -v` only looks; all else it does to other names.
        [name, rest @ ..] if name == "command" => {
            !matches!(rest, [flag, _] if flag == "-v" || flag == "-V")
        }
        [name, ..] => among(STATE, name),
        [] => false,
    }
}

/// The name of a program, also behind a path; a version at its end does not count.
pub(crate) fn family(program: &str) -> &str {
    let name = program.rsplit('/').next().unwrap_or(program);
    let bare = name.trim_end_matches(|sign: char| sign.is_ascii_digit() || sign == '.');
    if bare.is_empty() { name } else { bare }
}

/// Whether the shell does a word itself.
pub(crate) fn is_builtin(name: &str) -> bool {
    among(BUILTINS, name)
}

/// Whether a program only looks, as long as no option makes it do more.
pub(crate) fn looks(program: &str) -> bool {
    among(LOOKS, program)
}

/// Whether a program runs a file of code.
pub(crate) fn is_interpreter(program: &str) -> bool {
    among(INTERPRETERS, &family(program).to_ascii_lowercase())
}

/// Whether a program runs what its words or its input say.
pub(crate) fn is_runner(program: &str) -> bool {
    among(RUNNERS, family(program))
}

/// Whether a program does what files of the folder say in which it runs.
pub(crate) fn builds(program: &str) -> bool {
    among(BUILDERS, &family(program).to_ascii_lowercase())
}

/// Whether a program reads no file for what it does, as long as no option makes it.
pub(crate) fn is_plain_program(program: &str) -> bool {
    looks(program) || is_builtin(program) || among(PLAIN, program)
}

/// The file of code that an interpreter is given.
pub(crate) fn script(argv: &[String]) -> Option<&str> {
    match argv {
        [program, file, ..] if is_interpreter(program) && !file.starts_with('-') => Some(file),
        _ => None,
    }
}

/// Whether a command runs code that stands in its words or comes as its input.
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
    // `find -xdev` stays on one disk, and `-xtype` asks what a link leads to.
    begins
        && !matches!(word, "-xdev" | "-xtype" | "-executable")
        && !word.starts_with("--ext")
        && !word.starts_with("--exc")
}

/// Whether an option lets a program run another one, read other settings, send or destroy. Long options
/// may be cut short, as many programs take them.
pub(crate) fn carries(option: &str) -> bool {
    let name = option.split_once('=').map_or(option, |(name, _)| name);
    let letters = name.trim_start_matches('-');
    let is_long = name.starts_with("--") || letters.len() > 2 || letters == "ok";
    is_long && !letters.is_empty() && CARRIERS.split(' ').any(|known| known.starts_with(letters))
}

impl Tool {
    /// What is known of a tool.
    pub fn named(program: &str) -> Option<&'static Self> {
        TOOLS.iter().find(|tool| tool.name == program)
    }

    /// How many words say what a command of this tool does, if a rule may leave the others open.
    pub fn act(&self, words: &[String]) -> Option<usize> {
        let first = words.first()?;
        if among(self.deep, first) {
            return words.get(1).filter(|second| is_plain(second)).map(|_| 2);
        }
        (among(self.acts, first) || among(self.looks, first)).then_some(1)
    }

    /// Whether the first of the words is one that only looks.
    pub fn only_looks(&self, words: &[String]) -> bool {
        words.first().is_some_and(|first| among(self.looks, first))
    }

    /// Whether a short option of a tool has the power of a long one.
    pub fn carries(option: &str) -> bool {
        SHORT_CARRIERS.split(' ').any(|short| option.starts_with(short))
    }
}

/// Whether a word is a name: nothing in it is a path, an address or an option.
fn is_plain(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_alphabetic())
        && word.chars().all(|sign| sign.is_ascii_alphanumeric() || "-_:".contains(sign))
}
