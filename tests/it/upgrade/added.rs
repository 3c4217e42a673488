//! Downgrade with a workspace created after the upgrade: there is no copy of it to return to.

use std::fs;

use super::*;

#[test]
fn a_workspace_that_was_added_since_is_set_aside_and_comes_back_with_the_newer_version() {
    let (_folder, data) = first();
    let binary = Path::new(BINARY);
    let hq = |arguments: &[&str]| {
        let output = run(binary, &data, arguments);
        (output.status.code(), said(&output))
    };
    let program = Program::start(binary, &data);
    let add = ["workspace", "add", "Northwind", "--zone", "UTC", "--owner", OWNER.1];
    let (code, words) = hq(&add);
    assert_eq!(code, Some(0), "{words}");
    assert!(program.stop().success());
    let folder = data.join("workspaces/northwind");
    fs::create_dir_all(folder.join("agents/ada/files")).expect("a folder");
    fs::write(folder.join("agents/ada/files/note.md"), "kept").expect("a file");
    let aside = data.join(format!("workspaces.after-{FORMAT}/northwind"));

    // Without confirmation it only asks.
    let (code, words) = hq(&["rollback"]);
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("northwind was added since") && words.contains("--yes"), "{words}");
    assert!(folder.exists() && !aside.exists());

    let (code, words) = hq(&["rollback", "--yes"]);
    assert_eq!(code, Some(0), "{words}");
    assert!(words.contains("move the folder back"), "{words}");
    for file in stores(&data) {
        assert_eq!(migrate::format_of(&file).expect("a store"), 1);
    }
    assert!(!folder.exists() && aside.join("agents/ada/files/note.md").exists());
    assert_eq!(migrate::format_of(&aside.join("hq.redb")).expect("a store"), FORMAT);

    // Upgraded again: the workspace is not reported missing, and is registered once it is back in its place.
    let program = Program::start(binary, &data);
    let (code, words) = hq(&["workspace", "list"]);
    assert!(code == Some(0) && !words.contains("northwind"), "{words}");
    assert!(program.stop().success());
    fs::rename(&aside, &folder).expect("moved back");
    let program = Program::start(binary, &data);
    let (code, words) = hq(&["workspace", "list"]);
    assert!(code == Some(0) && words.contains("Northwind"), "{words}");
    assert!(program.stop().success());

    // An older workspace whose kept file is missing is not mistaken for a new one, and nothing is changed.
    fs::remove_file(data.join("workspaces/marlow-cargo/hq.redb.before-1")).expect("a kept file");
    let (code, words) = hq(&["rollback", "--yes"]);
    assert_ne!(code, Some(0), "{words}");
    assert!(words.contains("hq.redb.before-1 to go back to"), "{words}");
    assert!(folder.exists());
    for file in stores(&data) {
        assert_eq!(migrate::format_of(&file).expect("a store"), FORMAT);
    }
}
