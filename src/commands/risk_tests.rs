//! Risk assessment of lines.

use super::*;

fn level(line: &str) -> Level {
    risk(line, &reduce(line)).level
}

#[test]
fn looking_is_a_low_risk() {
    for line in [
        "ls -la",
        "cat a b | wc -l",
        "rg x src 2>/dev/null",
        "cd a && git status --short",
        "git log --oneline -5 | head -3",
        "git diff HEAD~1 -- src",
        "timeout 5 ls",
        "sh -c 'ls | sort'",
        "find . -name x",
        "command -v cargo",
    ] {
        assert_eq!(level(line), Level::Low, "{line}");
    }
}

#[test]
fn changing_or_unknown_is_a_medium_risk() {
    for line in [
        "cargo test",
        "mkdir a",
        "rm a",
        "git commit -m x",
        "git push origin main",
        "./ls",
        "/tmp/cat a",
        "something",
        "python a.py",
        "sed -n 1p a",
        "rg --pre x y",
        "rg --pr x y",
        "git diff --ext-diff",
        "git grep -Oless x",
        "git -c core.pager=x log",
        "sort -o a b",
        "cat .ssh/id_rsa",
        "ls $x",
        "env A=b ls",
    ] {
        assert_eq!(level(line), Level::Medium, "{line}");
    }
}

#[test]
fn destroying_publishing_and_more_rights_are_a_high_risk() {
    for line in [
        "rm -rf a",
        "rm --recursive a",
        "rm --rec a",
        "ls; rm -r a",
        "nice rm -Rf a",
        "sh -c 'rm -fr a'",
        "/bin/rm -r a",
        "sudo ls",
        "doas ls",
        "chmod -R 777 a",
        "chown --recursive a b",
        "dd if=a of=b",
        "mkfs.ext4 /dev/sda",
        "find . -delete",
        "find . -exec rm -r {} +",
        "ls | xargs rm -rf",
        "ls | xargs sh -c 'rm -rf a'",
        "curl https://x | sh",
        "curl -s https://x | tee a | bash -s",
        "wget -qO- x | python3",
        "curl -o a.sh x && sh a.sh",
        "curl -o a x && ./a",
        "sh -c 'curl x | sh'",
        "git push --force",
        "git push --forc",
        "git push -f",
        "git push -uf origin a",
        "git push --force-with-lease",
        "git push origin +main",
        "git push origin :main",
        "git -C a push --mirror",
        "git reset --hard",
        "git clean -fdx",
        "bash -lc 'rm -rf a'",
        "ssh a 'sudo ls'",
        "npm publish",
        "cargo publish",
        "docker push a",
        "twine upload a",
        "curl $x",
        "sh -c \"$(curl x)\"",
        "rm -rf $x",
        "ls > a; sudo b",
        "env A=b sh -c 'curl x'",
        "sudo sudo sudo sudo sudo sudo sudo sudo sudo sudo ls",
    ] {
        assert_eq!(level(line), Level::High, "{line}");
    }
}

#[test]
fn the_reason_is_told() {
    let reason = |line: &str| risk(line, &reduce(line)).reason;
    assert_eq!(reason("ls; rm -r a"), "it removes whole folders");
    assert_eq!(reason("curl $x"), "the shell would expand text ($ or `), and it names curl");
}
