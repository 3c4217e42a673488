//! Reserved names of environment variables: those that control what a program loads or runs, and those that HQ sets
//! itself. Secrets cannot get such a name, and existing secrets with one are not passed to programs.

/// Variables that the dynamic loader and the C library read before a program starts. A trailing `_` matches a prefix.
const LOADER: &[&str] = &["LD_", "DYLD_", "GLIBC_TUNABLES", "GCONV_PATH", "GETCONF_DIR", "LOCPATH"];

/// Variables that control what shells, interpreters and similar programs run, load or read as configuration. A trailing
/// `_` matches a prefix.
const STEERING: &[&str] = &[
    // Shells and programs they start.
    "PATH",
    "HOME",
    "SHELL",
    "IFS",
    "ENV",
    "BASH_ENV",
    "BASH_FUNC_",
    "BASHOPTS",
    "SHELLOPTS",
    "CDPATH",
    "PS4",
    "PROMPT_COMMAND",
    "ZDOTDIR",
    "LESSOPEN",
    "LESSCLOSE",
    "MAKEFLAGS",
    "MAKEFILES",
    "GNUMAKEFLAGS",
    "GIT_",
    "SSH_",
    // C library: host names and output paths.
    "HOSTALIASES",
    "RESOLV_HOST_CONF",
    "MALLOC_",
    "NIS_PATH",
    "TERMINFO",
    "TERMINFO_DIRS",
    "NLSPATH",
    // Interpreters.
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PYTHONINSPECT",
    "PYTHONBREAKPOINT",
    "PYTHONUSERBASE",
    "PYTHONEXECUTABLE",
    "PYTHONPLATLIBDIR",
    "PYTHONWARNINGS",
    "PERL5OPT",
    "PERL5LIB",
    "PERL5DB",
    "PERL5SHELL",
    "PERLLIB",
    "RUBYOPT",
    "RUBYLIB",
    "RUBYPATH",
    "RUBYSHELL",
    "GEM_HOME",
    "GEM_PATH",
    "BUNDLE_GEMFILE",
    "NODE_OPTIONS",
    "NODE_PATH",
    "NODE_REPL_EXTERNAL_MODULE",
    "NPM_CONFIG_NODE_OPTIONS",
    "NPM_CONFIG_SCRIPT_SHELL",
    "JAVA_TOOL_OPTIONS",
    "JAVA_OPTS",
    "JDK_JAVA_OPTIONS",
    "_JAVA_OPTIONS",
    "CLASSPATH",
    "MAVEN_OPTS",
    "GRADLE_OPTS",
    "DOTNET_STARTUP_HOOKS",
    "DOTNET_ADDITIONAL_DEPS",
    "CORECLR_",
    "COR_",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "LUA_PATH",
    "LUA_CPATH",
    "LUA_INIT",
    "LUA_INIT_5_2",
    "LUA_INIT_5_3",
    "LUA_INIT_5_4",
    "LUA_INIT_5_5",
    "R_PROFILE",
    "R_PROFILE_USER",
    "R_ENVIRON",
    "JULIA_LOAD_PATH",
    "ERL_FLAGS",
    "ERL_AFLAGS",
    "ERL_ZFLAGS",
    "ERL_LIBS",
    "GUILE_LOAD_PATH",
    "TCLLIBPATH",
    "EMACSLOADPATH",
    "VIMINIT",
    "EXINIT",
    "GOFLAGS",
    "RUSTC",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTFLAGS",
    "CARGO_BUILD_",
    "CARGO_TARGET_",
    "AWKPATH",
    "AWKLIBPATH",
    "CC",
    "CXX",
    "CPP",
    "AR",
    "LD",
    // Programs started by other programs.
    "PAGER",
    "MANPAGER",
    "BROWSER",
    "EDITOR",
    "VISUAL",
    // Libraries that load other libraries.
    "OPENSSL_CONF",
    "OPENSSL_MODULES",
    "OPENSSL_ENGINES",
    "SSLKEYLOGFILE",
    "GIO_EXTRA_MODULES",
    "GTK_MODULES",
    "QT_PLUGIN_PATH",
];

/// Variables that HQ sets, such as proxy settings. A trailing `_` matches a prefix.
const OWN: &[&str] = &[
    "HQ_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "NODE_TLS_REJECT_UNAUTHORIZED",
    "NODE_USE_ENV_PROXY",
    "PIP_CERT",
    "CARGO_HTTP_CAINFO",
    "DENO_CERT",
    "AWS_CA_BUNDLE",
    "TMPDIR",
];

fn is_in(table: &[&str], name: &str) -> bool {
    let is = |one: &&str| *one == name || (one.ends_with('_') && name.starts_with(*one));
    table.iter().any(is)
}

/// Returns `true` if the loader reads the variable before a program starts, even a program that is about to be
/// sandboxed.
#[must_use]
pub fn is_loader(name: &str) -> bool {
    is_in(LOADER, name)
}

/// The reason why a variable is reserved, as a phrase that follows its name; `None` if it is free. Case-sensitive,
/// except that proxy variables match in both cases.
#[must_use]
pub fn reserved(name: &str) -> Option<&'static str> {
    if is_in(LOADER, name) || is_in(STEERING, name) {
        return Some("it controls what programs run or load");
    }
    let is_own = is_in(OWN, name) || (name.ends_with("_proxy") && is_in(OWN, &name.to_uppercase()));
    is_own.then_some("HQ sets it itself")
}

#[cfg(test)]
mod tests {
    use super::{is_loader, reserved};

    #[test]
    fn names_that_load_or_run_something_are_reserved() {
        for name in [
            "LD_AUDIT",
            "LD_DEBUG",
            "LD_PRELOAD",
            "LUA_INIT_5_4",
            "CARGO_BUILD_RUSTC_WRAPPER",
            "PAGER",
            "MALLOC_CHECK_",
            "DYLD_X",
            "GLIBC_TUNABLES",
            "GCONV_PATH",
            "PYTHONHOME",
            "PYTHONPATH",
            "PYTHONSTARTUP",
            "PERL5OPT",
            "PERL5LIB",
            "RUBYOPT",
            "RUBYLIB",
            "NODE_OPTIONS",
            "NODE_PATH",
            "JAVA_TOOL_OPTIONS",
            "_JAVA_OPTIONS",
            "JDK_JAVA_OPTIONS",
            "BASH_ENV",
            "ENV",
            "PATH",
            "IFS",
            "SHELLOPTS",
            "GIT_SSH_COMMAND",
            "GIT_EXTERNAL_DIFF",
            "SSH_ASKPASS",
            "BASH_FUNC_x%%",
            "HTTP_PROXY",
            "https_proxy",
            "NO_PROXY",
            "HQ_MASTER_KEY",
        ] {
            assert!(reserved(name).is_some(), "{name}");
        }
        for name in [
            "A",
            "GITHUB_TOKEN",
            "SSHKEY",
            "PATHS",
            "LDAP_PASSWORD",
            "NODE_TOKEN",
            "my_proxy",
            "ENVIRONMENT",
        ] {
            assert_eq!(reserved(name), None, "{name}");
        }
        assert!(is_loader("LD_AUDIT") && !is_loader("PATH"));
    }
}
