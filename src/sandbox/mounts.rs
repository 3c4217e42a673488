//! A program's view of the file system: all mounts are read-only except for its writable folders. Landlock protects
//! contents; modes, owners, times and attributes, which Landlock ignores, are protected by read-only mounts.
//!
//! Needs a separate mount namespace. Where there is none (a container, AppArmor), nothing is changed, and the self-test
//! reports it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags};

use super::own_network;
use super::policy::Policy;

/// Makes all mounts except the writable folders read-only. `is_apart` means that this process already has its own mount
/// namespace. Returns `false` on failure; programs then run without this protection.
pub(super) fn close(policy: &Policy, is_apart: bool) -> bool {
    (is_apart || own_network::leave_mounts()) && read_only(&policy.writable).is_ok()
}

fn read_only(writable: &[PathBuf]) -> io::Result<()> {
    // Private: changes do not reach the host, and later mounts of the host do not appear here.
    let apart = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", apart)?;
    let mut kept = Vec::new();
    for path in writable {
        let real = fs::canonicalize(path)?;
        rustix::mount::mount_bind_recursive(&real, &real)?;
        kept.push(real);
    }
    for mount in mounts(&fs::read("/proc/self/mountinfo")?) {
        if mount.is_read_only || kept.iter().any(|path| mount.at.starts_with(path)) {
            continue;
        }
        let flags = mount.flags | MountFlags::BIND | MountFlags::RDONLY;
        match rustix::mount::mount_remount(&mount.at, flags, c"") {
            // A mount hidden by another one, or inaccessible to this user, is out of the program's reach as well.
            Ok(()) | Err(Errno::INVAL | Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A line of `mountinfo`.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    at: PathBuf,
    /// Flags to preserve on a remount. Access time settings are preserved by the kernel.
    flags: MountFlags,
    is_read_only: bool,
}

fn mounts(table: &[u8]) -> impl Iterator<Item = Mount> {
    table.split(|byte| *byte == b'\n').filter_map(mount)
}

/// `id parent major:minor root at options …`, see proc(5).
fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ').skip(4);
    let at = path(fields.next()?);
    let options: Vec<&[u8]> = fields.next()?.split(|byte| *byte == b',').collect();
    let has = |option: &str| options.contains(&option.as_bytes());
    let flags = [
        ("nosuid", MountFlags::NOSUID),
        ("nodev", MountFlags::NODEV),
        ("noexec", MountFlags::NOEXEC),
        ("nosymfollow", MountFlags::NOSYMFOLLOW),
    ];
    let flags = flags.into_iter().filter(|(option, _)| has(option)).map(|(_, flag)| flag);
    Some(Mount { at, flags: flags.collect(), is_read_only: has("ro") })
}

/// Decodes a path of `mountinfo`.
pub(super) fn path(field: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(plain(field)))
}

/// The kernel writes blanks, tabs, line ends and backslashes as three octal digits.
fn plain(field: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, behind)) = rest.split_first() {
        let octal = (*first == b'\\').then(|| behind.get(..3)).flatten();
        let code = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                text.push(byte);
                rest = &behind[3..];
            }
            None => {
                text.push(*first);
                rest = behind;
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_line_of_the_kernel_is_understood() {
        let table = b"31 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
            36 31 0:20 / /mnt/two\\040words\\134 ro,nosuid,nodev,noexec - tmpfs none rw\n";
        let found: Vec<Mount> = mounts(table).collect();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].at.as_path(), found[0].is_read_only), (Path::new("/"), false));
        assert!(found[0].flags.is_empty());
        assert_eq!(found[1].at, Path::new("/mnt/two words\\"));
        assert_eq!(found[1].flags, MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC);
        assert!(found[1].is_read_only);
        assert!(
            mounts(&fs::read("/proc/self/mountinfo").unwrap()).any(|one| one.at == Path::new("/"))
        );
    }
}
