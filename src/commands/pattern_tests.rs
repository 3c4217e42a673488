//! What patterns permit, and what they never permit.

use std::cell::RefCell;
use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// A machine with a few programs, links and files.
struct Made {
    programs: Vec<&'static str>,
    links: Vec<(&'static str, &'static str)>,
    files: RefCell<HashMap<&'static str, &'static str>>,
}

impl Made {
    fn new() -> Self {
        Self {
            programs: vec![
                "rg", "ls", "cat", "git", "cargo", "tar", "curl", "npm", "find", "python", "rm",
                "make",
            ],
            links: vec![("/w/link", "/etc")],
            files: RefCell::new(HashMap::from([
                ("/w/a.py", "1"),
                ("/w/rg", "2"),
                ("/w/sub/a.py", "3"),
            ])),
        }
    }
}

impl Machine for Made {
    fn resolve(&self, name: &str) -> Option<String> {
        if name == "bad" {
            return Some("/w/bin/bad".to_owned());
        }
        self.programs.contains(&name).then(|| format!("/usr/bin/{name}"))
    }

    fn real(&self, path: &str) -> Option<String> {
        let path = path.replace("//", "/");
        // Missing paths cannot be resolved.
        if path.starts_with("/w/none/") {
            return Some(path);
        }
        let mut real = reduce::joined("", &path);
        for (from, to) in &self.links {
            if let Some(rest) =
                path.strip_prefix(from).filter(|rest| rest.is_empty() || rest.starts_with('/'))
            {
                real = reduce::joined("", &format!("{to}{rest}"));
            }
        }
        Some(real)
    }

    fn hash(&self, path: &str) -> Option<String> {
        self.files.borrow().get(path).map(|hash| (*hash).to_owned())
    }
}

fn seen(made: &Made, line: &str) -> Result<Vec<Seen>, Why> {
    resolve(&reduce(line), &Place { folder: "/w", start: "/w", machine: made })
}

/// The widest patterns offered for a line.
fn kept(line: &str) -> Vec<Pattern> {
    let all = scopes(&seen(&Made::new(), line).expect("it reduces"));
    all.last().unwrap_or_else(|| panic!("nothing is offered for {line}")).patterns.clone()
}

fn exact(line: &str) -> Vec<Pattern> {
    scopes(&seen(&Made::new(), line).expect("it reduces"))[0].patterns.clone()
}

fn passes(rules: &[Pattern], line: &str) -> bool {
    seen(&Made::new(), line).is_ok_and(|seen| misses(&seen, rules).is_empty())
}

#[test]
fn an_exact_rule_lets_through_the_same_words_in_the_same_folder() {
    let rules = exact("rm -rf build");
    for line in [
        "rm -rf build",
        "rm  '-rf' \"build\"",
        "nice rm -rf build",
        "sh -c 'rm -rf build'",
        "rm -rf build 2>&1",
    ] {
        assert!(passes(&rules, line), "{line}");
    }
    for line in [
        "rm -rf build a",
        "rm -rf buil d",
        "rm -rf",
        "./rm -rf build",
        "/w/rm -rf build",
        "cd sub && rm -rf build",
        "cd /; rm -rf build",
        "rm -rf build; rm a",
        "rm -rf build | cat",
        "rm -rf $build",
        "env A=b rm -rf build",
    ] {
        assert!(!passes(&rules, line), "{line}");
    }
    let mut rules = exact("cd / && ls");
    rules.extend(exact("rm -rf build"));
    assert!(!passes(&rules, "cd / && rm -rf build"));
}

#[test]
fn a_command_with_fewer_words_is_the_same_to_each_rule() {
    let lines = ["rm -rf build", "git log --oneline -5 src", "rg x", "./rg x", "python a.py b"];
    let all = |line: &str| seen(&Made::new(), line).expect("it reduces");
    let rules = lines.iter().flat_map(|line| scopes(&all(line)));
    let rules: Vec<Pattern> = rules.flat_map(|scope| scope.patterns).collect();
    assert!(lines.len() <= rules.len(), "{rules:?}");
    for one in lines.iter().flat_map(|line| all(line)) {
        let less = one.reduced();
        for rule in &rules {
            assert_eq!(less.matches(rule), one.matches(rule), "{one:?} {rule:?}");
        }
        assert!(less.keys().eq(one.keys()), "{one:?}");
        let kept = serde_json::to_string(&less).expect("its text");
        assert_eq!(serde_json::from_str::<Seen>(&kept).expect("a command"), less);
    }
    let words: Vec<_> = all("git log --oneline src").iter().map(Seen::reduced).collect();
    assert_eq!(words[0].texts().collect::<Vec<_>>(), ["git", "log", "--oneline"]);
}

#[test]
fn a_name_is_what_the_path_finds_outside_of_the_folder() {
    let rules = kept("rg x");
    assert!(passes(&rules, "rg y src"));
    assert!(passes(&rules, "/usr/bin/rg y"));
    for line in ["./rg y", "/w/rg y", "/usr/local/bin/rg y", "sub/rg y", "../bin/rg y"] {
        assert!(!passes(&rules, line), "{line}");
    }
    assert!(scopes(&seen(&Made::new(), "bad x").expect("it reduces")).is_empty());
    assert!(scopes(&seen(&Made::new(), "nowhere x").expect("it reduces")).is_empty());
}

#[test]
fn a_subcommand_keeps_what_it_does_and_stays_inside() {
    let mut rules = kept("git log --oneline -5 src");
    for line in ["cd sub; cd ../..", "cd /", "cd link", "cd .."] {
        rules.extend(exact(line));
    }
    for line in [
        "git log --oneline -20",
        "git log src/a b",
        "git log --oneline /w/src HEAD~2",
        "cd sub && git log ../a",
    ] {
        assert!(passes(&rules, line), "{line}");
    }
    for line in [
        "git push",
        "git status",
        "git",
        "git -c core.pager=x log",
        "git log --output=x",
        "git log --all",
        "git log /etc",
        "git log ../x",
        "git log a/../../x",
        "git log link/x",
        "git log --oneline=/etc",
        "git log ext::x",
        "git log +x",
        "cd / && git log",
        "cd link && git log",
        "cd .. && git log w",
        "cd sub; cd ../..; git log",
    ] {
        assert!(!passes(&rules, line), "{line}");
    }
}

#[test]
fn words_that_hide_a_path_or_a_host_are_not_inside() {
    let rules = kept("cat --show -I a");
    assert!(passes(&rules, "cat a/b c@1.2 d=e --show=a/b 'a b'"));
    for word in [
        "/etc/passwd",
        "--show=/etc",
        "-I/etc",
        "-I=../x",
        "-I/etc=a",
        "-I..",
        "@/etc/passwd",
        "a=/etc",
        "a:/etc",
        "a,/etc",
        "'x /etc'",
        "file:///etc",
        "https://x",
        "a@b:c",
        "'~/x'",
        "--show=~/x",
        "a=../x",
        "x:../y",
        "..",
        "../w/../etc",
        "/w/none/../../etc",
        "link/../x",
        "/w/../etc",
        "/w/link/x",
        "link",
    ] {
        assert!(!passes(&rules, &format!("cat {word}")), "{word}");
    }
}

#[test]
fn code_that_changed_is_asked_for_anew() {
    for line in ["python a.py x", "./rg x", "cd sub && python a.py"] {
        let rules = exact(line);
        assert!(passes(&rules, line), "{line}");
        let made = Made::new();
        for hash in made.files.borrow_mut().values_mut() {
            *hash = "other";
        }
        let changed = seen(&made, line).expect("it reduces");
        assert!(!misses(&changed, &rules).is_empty(), "{line}");
    }
}

#[test]
fn nothing_is_kept_for_code_among_words() {
    for line in [
        "python -c x",
        "python",
        "make",
        "cat a | xargs rm",
        "find . -exec rm {} +",
        "ls; make",
        "./missing x",
        "python missing.py",
    ] {
        assert!(scopes(&seen(&Made::new(), line).expect("it reduces")).is_empty(), "{line}");
    }
    let forged = Pattern::Subcommand { program: "make".into(), words: vec![], options: vec![] };
    assert!(!passes(&[forged], "make"));
    let hash = seen(&Made::new(), "make").expect("it reduces")[0].hash.clone();
    assert!(!passes(&[Pattern::Argv { hash, words: vec![], files: vec![] }], "make"));
}

#[test]
fn only_the_exact_command_is_offered_where_words_have_no_known_meaning() {
    for line in [
        "curl example",
        "rm build",
        "tar xf a --checkpoint-action=exec=x",
        "git",
        "git -C sub log",
        "git fetch --upload-pack=x origin",
        "git fetch --upl=x origin",
        "git foo",
        "git push",
        "npm install x",
        "cargo install x",
        "git log /etc",
        "find . -delete",
        "find . -fprint a",
        "rg --pre x y",
        "git grep -Ox y",
        "git clone https://x",
    ] {
        let all = scopes(&seen(&Made::new(), line).expect("it reduces"));
        assert_eq!(all.len(), 1, "{line}: {all:?}");
        assert!(matches!(all[0].patterns[..], [Pattern::Argv { .. }]), "{line}");
    }
}

#[test]
fn what_a_wrapper_opens_and_where_it_goes_counts() {
    let rules = kept("rg x");
    assert!(passes(&rules, "flock lock rg y"));
    assert!(!passes(&rules, "flock /etc/lock rg y"));
    let rules = exact("flock one rm a");
    assert!(passes(&rules, "flock one rm a"));
    assert!(!passes(&rules, "flock two rm a"));
    assert!(!passes(&rules, "rm a"));
    let rules = [kept("ls"), kept("rg x"), exact("cd /")].concat();
    assert!(passes(&rules, "cd /") && passes(&rules, "ls"));
    for line in ["cd / && ls", "sh -c 'cd / && ls'", "sh -c 'cd /; rg x'"] {
        assert!(!passes(&rules, line), "{line}");
    }
}

#[test]
fn a_deletion_does_not_pass_as_a_search() {
    let rules = kept("find . -name x -type f");
    assert!(passes(&rules, "find src -name y"));
    for line in
        ["find . -delete", "find . -name y -exec rm {} +", "find / -name y", "find . -fprint a"]
    {
        assert!(!passes(&rules, line), "{line}");
    }
}

#[test]
fn every_command_of_a_line_needs_a_rule() {
    let rules = kept("cd sub && cargo test --locked 2>&1 | cat");
    assert_eq!(rules.len(), 3);
    assert!(passes(&rules, "cd sub && cargo test --locked x | cat"));
    assert!(!passes(&rules[..2], "cd sub && cargo test --locked 2>&1 | cat"));
    assert!(!passes(&[], "ls"));
    assert_eq!(rules[1].shown(), "cargo test …, inside the folder, with --locked");
}

#[test]
fn deep_words_belong_to_what_is_done() {
    let rules = kept("npm run build:css a");
    assert!(passes(&rules, "npm run build:css b"));
    assert!(!passes(&rules, "npm run evil"));
    let rules = kept("git push origin main");
    assert!(passes(&rules, "git push origin dev"));
    for line in
        ["git push evil main", "git push origin a:b", "git push origin +a", "git push -f origin"]
    {
        assert!(!passes(&rules, line), "{line}");
    }
}

#[test]
fn patterns_are_stored_as_they_are() {
    for rule in kept("cd sub && git log -5 | cat").into_iter().chain(exact("python a.py")) {
        let text = serde_json::to_string(&rule).expect("it is written");
        assert_eq!(serde_json::from_str::<Pattern>(&text).expect("it is read"), rule);
    }
}

#[test]
fn many_rules_are_asked() {
    let line = ["rg x src"; 10].join(" && ");
    let rules: Vec<Pattern> = (0..500).flat_map(|at| exact(&format!("git log {at}"))).collect();
    let made = Made::new();
    for _ in 0..100 {
        assert_eq!(misses(&seen(&made, &line).expect("it reduces"), &rules).len(), 10);
    }
}

fn command() -> impl Strategy<Value = String> {
    let program = prop::sample::select(vec![
        "rg", "ls", "cat", "git", "cargo", "npm", "find", "./rg", "nice rg", "rm",
    ]);
    let word = prop::sample::select(vec![
        "log", "run", "test", "push", "a", "b/c", "-l", "--all", "--x=y", "..", "/etc", "'q r'",
        "x:y",
    ]);
    (program, prop::collection::vec(word, 0..4))
        .prop_map(|(program, words)| format!("{program} {}", words.join(" ")))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_pattern_never_lets_another_program_through(a in command(), b in command()) {
        let made = Made::new();
        let (one, other) = (seen(&made, &a).expect("it reduces"), seen(&made, &b).expect("it reduces"));
        for scope in scopes(&one) {
            prop_assert!(misses(&one, &scope.patterns).is_empty(), "what was approved passes: {a}");
            if misses(&other, &scope.patterns).is_empty() {
                prop_assert_eq!(&one[0].argv[0], &other[0].argv[0], "{} lets {} through", a, b);
                prop_assert!(!b.contains("/etc") || one[0].argv == other[0].argv);
            }
        }
    }

    #[test]
    fn a_pattern_that_lets_a_command_through_is_found_by_its_key(a in command(), b in command()) {
        let made = Made::new();
        let (one, other) = (seen(&made, &a).expect("it reduces"), seen(&made, &b).expect("it reduces"));
        for pattern in scopes(&one).into_iter().flat_map(|scope| scope.patterns) {
            for command in one.iter().chain(&other).filter(|command| command.matches(&pattern)) {
                prop_assert!(command.keys().any(|key| key == pattern.key()), "{a}, {b}: {pattern:?}");
            }
        }
    }
}

/// A machine that records its calls.
struct Asked {
    made: Made,
    names: RefCell<Vec<String>>,
}

impl Machine for Asked {
    fn resolve(&self, name: &str) -> Option<String> {
        self.names.borrow_mut().push(name.to_owned());
        self.made.resolve(name)
    }

    fn real(&self, path: &str) -> Option<String> {
        self.names.borrow_mut().push(path.to_owned());
        self.made.real(path)
    }

    fn hash(&self, path: &str) -> Option<String> {
        self.made.hash(path)
    }
}

#[test]
fn a_machine_is_asked_once_for_what_the_commands_of_a_line_share() {
    let machine = Asked { made: Made::new(), names: RefCell::default() };
    let place = Place { folder: "/w", start: "/w", machine: &machine };
    let seen = resolve(&reduce("ls -l a && ls -l b && ls -l c"), &place).expect("it reduces");
    assert_eq!(seen.len(), 3);
    let mut names = machine.names.take();
    names.sort_unstable();
    assert_eq!(names, ["/usr/bin/ls", "/w", "/w/a", "/w/b", "/w/c", "ls"]);
}

#[test]
fn a_command_that_was_kept_with_fewer_words_than_it_claims_is_met_by_no_rule() {
    let open = crate::lookup::Open { program: "git".to_owned(), act: 9, options: Vec::new() };
    let seen = Seen {
        argv: vec!["git".to_owned()],
        files: Vec::new(),
        keeps: true,
        hash: String::new(),
        open: Some(open),
    };
    assert_eq!(seen.keys().count(), 1);
    let (program, words) = ("git".to_owned(), vec!["push".to_owned()]);
    assert!(!seen.matches(&Pattern::Subcommand { program, words, options: Vec::new() }));
}
