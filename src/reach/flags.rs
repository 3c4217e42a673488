//! Flags that runners of packages read before the package. An unknown flag could take the next word as its value, or
//! leave it as the package, so each needs to be known.

use crate::pins::Registry;

/// The flags of a program.
pub struct Flags {
    pub registry: Registry,
    /// Those that name packages.
    pub packages: &'static [&'static str],
    /// Those that hide packages, such as a command for a shell.
    pub opaque: &'static [&'static str],
    /// Those without a value.
    pub plain: &'static [&'static str],
    /// Those with a value.
    pub valued: &'static [&'static str],
    /// Whether what follows the `=` of any flag is its value. npm makes it the package if the flag has none, and npm
    /// and pipx know flags by their first letters.
    pub has_plain_values: bool,
}

pub static NPM: Flags = Flags {
    registry: Registry::Npm,
    packages: &["-p", "--package"],
    opaque: &["-c", "--call"],
    // After other flags without a value, npx takes the package for a value and goes on to look for flags.
    plain: &["-y", "--yes", "-q", "--quiet", "-s", "--silent", "--verbose", "--no-install"],
    valued: &[
        "--cache",
        "--globalconfig",
        "--loglevel",
        "--prefix",
        "--registry",
        "--script-shell",
        "--userconfig",
        "--workspace",
        "-w",
    ],
    has_plain_values: false,
};

pub static PNPM: Flags = Flags {
    registry: Registry::Npm,
    packages: &["--package"],
    opaque: &["-c", "--shell-mode"],
    plain: &["-y", "--yes", "-s", "--silent"],
    valued: &["-C", "--allow-build", "--dir", "--loglevel", "--registry", "--reporter"],
    has_plain_values: false,
};

pub static BUN: Flags = Flags {
    registry: Registry::Npm,
    packages: &["-p", "--package"],
    opaque: &[],
    plain: &["-y", "--yes", "-b", "--bun", "--no-install", "--silent", "--verbose"],
    valued: &[],
    has_plain_values: true,
};

pub static YARN: Flags = Flags {
    registry: Registry::Npm,
    packages: &["-p", "--package"],
    opaque: &[],
    plain: &["-q", "--quiet"],
    valued: &[],
    has_plain_values: true,
};

pub static UV: Flags = Flags {
    registry: Registry::Pypi,
    packages: &["--from", "--with", "-w"],
    opaque: &["--with-editable", "--with-requirements"],
    plain: &[
        "-m",
        "-n",
        "-q",
        "-s",
        "-U",
        "-v",
        "--active",
        "--all-extras",
        "--all-groups",
        "--compile-bytecode",
        "--exact",
        "--frozen",
        "--isolated",
        "--locked",
        "--managed-python",
        "--module",
        "--native-tls",
        "--no-build",
        "--no-cache",
        "--no-config",
        "--no-dev",
        "--no-env-file",
        "--no-managed-python",
        "--no-progress",
        "--no-project",
        "--no-python-downloads",
        "--no-sources",
        "--no-sync",
        "--offline",
        "--quiet",
        "--refresh",
        "--reinstall",
        "--script",
        "--upgrade",
        "--verbose",
    ],
    valued: &[
        "-f",
        "-i",
        "-p",
        "--cache-dir",
        "--color",
        "--config-file",
        "--default-index",
        "--directory",
        "--env-file",
        "--exclude-newer",
        "--extra",
        "--extra-index-url",
        "--find-links",
        "--group",
        "--index",
        "--index-strategy",
        "--index-url",
        "--link-mode",
        "--package",
        "--prerelease",
        "--project",
        "--python",
        "--resolution",
    ],
    has_plain_values: true,
};

pub static PIPX: Flags = Flags {
    registry: Registry::Pypi,
    packages: &["--spec", "--with"],
    opaque: &["--pip-args"],
    plain: &["-q", "--quiet", "-v", "--verbose", "--no-cache", "--system-site-packages"],
    valued: &["-i", "--index-url", "--python"],
    has_plain_values: false,
};
