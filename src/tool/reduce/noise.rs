//! Recognises progress lines, which carry no other information.

use super::command::Program;

/// Returns `true` if an output line only reports normal progress.
pub(super) fn is_noise(program: Program, line: &str) -> bool {
    let words = line.trim_end();
    match program {
        Program::Cargo => cargo(words),
        Program::Git => git(words),
        Program::Node => node(words),
        Program::Pytest => pytest(words),
    }
}

fn begins_with_one_of(words: &str, all: &[&str]) -> bool {
    all.iter().any(|one| words.starts_with(one))
}

fn cargo(line: &str) -> bool {
    const STEPS: &[&str] = &[
        "Blocking",
        "Building",
        "Checking",
        "Compiling",
        "Dirty",
        "Documenting",
        "Downloaded",
        "Downloading",
        "Fresh",
        "Locking",
        "Scraping",
        "Unpacking",
        "Updating",
        "Verifying",
    ];
    if line.starts_with("test ") {
        return line.ends_with(" ... ok");
    }
    // Cargo right-aligns its verbs to column 12.
    let Some((step, _)) = line.trim_start().split_once(' ') else { return false };
    let place = line.len() - line.trim_start().len() + step.len();
    place == 12 && (STEPS.contains(&step) || step == "PASS")
}

fn git(line: &str) -> bool {
    const STEPS: &[&str] = &[
        "Checking out files:",
        "Compressing objects:",
        "Counting objects:",
        "Delta compression using",
        "Enumerating objects:",
        "Filtering content:",
        "Finding sources:",
        "Receiving objects:",
        "Resolving deltas:",
        "Unpacking objects:",
        "Updating files:",
        "Writing objects:",
    ];
    let words = line.trim_start();
    let words = words.strip_prefix("remote:").map_or(words, str::trim_start);
    begins_with_one_of(words, STEPS)
        || line.starts_with("hint: ")
        || words.starts_with("(use \"git ")
}

fn node(line: &str) -> bool {
    const STEPS: &[&str] = &[
        "npm http ",
        "npm info ",
        "npm notice",
        "npm sill ",
        "npm timing ",
        "npm verb ",
        "npm WARN deprecated ",
        "npm warn deprecated ",
        "Progress: resolved ",
        "➤ YN0013:",
        "➤ YN0019:",
    ];
    let words = line.trim_start();
    begins_with_one_of(line, STEPS) || begins_with_one_of(words, &["✓ ", "√ ", "✔ ", "PASS "])
}

fn pytest(line: &str) -> bool {
    let (words, share) = match line.rsplit_once(" [") {
        Some((words, share)) if share.ends_with("%]") => (words.trim_end(), true),
        _ => (line, false),
    };
    if words.contains("::") {
        return words.ends_with(" PASSED");
    }
    // One dot per passed test, after the file name or alone.
    let points = words.rsplit(' ').next().unwrap_or("");
    let before = words[..words.len() - points.len()].trim_end();
    let is_file = before.is_empty() || before.ends_with(".py");
    share && is_file && !points.is_empty() && points.chars().all(|c| c == '.')
}

#[cfg(test)]
mod tests {
    use super::{Program, is_noise};

    #[test]
    fn only_what_goes_as_it_should_is_noise() {
        for (program, line, noise) in [
            (Program::Cargo, "   Compiling serde v1.0.1", true),
            (Program::Cargo, "    Checking hq v0.1.0 (/src)", true),
            (Program::Cargo, "        PASS [   0.005s] hq store::keys", true),
            (Program::Cargo, "        FAIL [   0.005s] hq store::keys", false),
            (Program::Cargo, "Compiling is what it said", false),
            (Program::Cargo, "warning: unused variable: `x`", false),
            (Program::Cargo, "test a::b ... ok", true),
            (Program::Cargo, "test a::b ... ignored", false),
            (Program::Git, "remote: Compressing objects: 100% (9/9), done.", true),
            (Program::Git, "  (use \"git add <file>...\" to include)", true),
            (Program::Git, "remote: error: GH006: Protected branch", false),
            (Program::Git, " ! [rejected]  main -> main (fetch first)", false),
            (Program::Node, "npm warn deprecated a@1: old", true),
            (Program::Node, "npm error 404", false),
            (Program::Node, "  ✓ adds numbers (2 ms)", true),
            (Program::Node, "  ✕ adds numbers (2 ms)", false),
            (Program::Pytest, "tests/test_a.py::test_b PASSED   [ 12%]", true),
            (Program::Pytest, "tests/test_a.py::test_b FAILED   [ 12%]", false),
            (Program::Pytest, "tests/test_a.py .....   [ 12%]", true),
            (Program::Pytest, "..........   [ 12%]", true),
            (Program::Pytest, "tests/test_a.py ..F..   [ 12%]", false),
            (Program::Pytest, "and so on ...", false),
        ] {
            assert_eq!(is_noise(program, line), noise, "{line:?}");
        }
    }
}
