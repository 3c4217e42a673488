//! Parsing of settings from all sources, and its error messages.

use super::{Config, FILE, Given, Source};

fn given(flags: &[(&'static str, &str)], environment: &[(&str, &str)]) -> Given {
    let own = |text: &&str| (*text).to_owned();
    Given {
        flags: flags.iter().map(|(name, value)| (*name, own(value))).collect(),
        environment: environment.iter().map(|(n, v)| (own(n), own(v))).collect(),
    }
}

fn source(config: &Config, name: &str) -> Source {
    config.settings.iter().find(|one| one.name == name).unwrap().source
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    std::fs::write(
        folder.path().join(FILE),
        "listen = \"127.0.0.1:1\"\nlog = \"debug\"\n[limits]\napi_burst = 7\n\
         [openai]\nfetch_urls = true\n",
    )
    .unwrap();
    let flags = [("listen", "127.0.0.1:3"), ("data", data)];
    let config =
        Config::load(&given(&flags, &[("HQ_LISTEN", "127.0.0.1:2"), ("HQ_LOG", "")])).unwrap();
    assert_eq!(config.listen.port(), 3);
    assert_eq!((config.log.as_str(), config.limits.api_burst), ("debug", 7));
    assert!(config.fetch_urls && !Config::for_folder(folder.path()).fetch_urls);
    assert_eq!(source(&config, "listen"), Source::Flag);
    assert_eq!(source(&config, "log"), Source::File);
    assert_eq!(source(&config, "limits.api_burst"), Source::File);
    assert_eq!(source(&config, "public_url"), Source::Default);
    let config = Config::load(&given(&flags[1..], &[("HQ_LISTEN", "127.0.0.1:2")])).unwrap();
    assert_eq!(config.listen.port(), 2);
}

#[test]
fn a_relative_folder_means_the_same_from_everywhere() {
    let given = given(&[("data", "some/data"), ("master_key_file", "key")], &[]);
    let config = Config::load(&given).unwrap();
    let here = std::env::current_dir().unwrap();
    assert_eq!(config.data, here.join("some/data"));
    assert_eq!(config.key_file(), here.join("key"));
}

#[test]
fn an_unknown_name_stops_the_start_and_the_nearest_is_told() {
    let error = Config::load(&given(&[], &[("HQ_LISEN", "x")])).unwrap_err();
    assert_eq!(error.to_string(), "HQ_LISEN isn't an HQ setting; did you mean HQ_LISTEN?");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE), "data = \"elsewhere\"").unwrap();
    let data = folder.path().to_str().unwrap();
    let error = Config::load(&given(&[("data", data)], &[])).unwrap_err();
    assert!(error.to_string().contains("\"data\" isn't an HQ setting"), "{error}");
}

#[test]
fn a_value_that_does_not_fit_says_what_would() {
    for (name, value, words) in [
        ("HQ_LISTEN", "8080", "such as 127.0.0.1:8080"),
        ("HQ_PUBLIC_URL", "hq.example.com", "such as https://hq.example.com"),
        ("HQ_PUBLIC_URL", "https://x/y", "without a path"),
        ("HQ_LIMITS_API_BURST", "-1", "0 turns"),
        ("HQ_RUNS_MAX_ACTIVE", "0", "a number from 1"),
        ("HQ_OPENAI_FETCH_URLS", "maybe", "true or false"),
        ("HQ_SOURCE_FOLDERS", "/srv:docs", "absolute folder paths"),
        ("HQ_TRUSTED_PROXIES", "10.0.0.0/40", "such as 10.0.0.7"),
    ] {
        let error = Config::load(&given(&[], &[(name, value)])).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    let url = [("HQ_PUBLIC_URL", "https://HQ.example.com/")];
    let config = Config::load(&given(&[], &url)).unwrap();
    assert_eq!(config.public_url.as_deref(), Some("https://hq.example.com"));
    assert!(config.is_https());
}

#[test]
fn registries_are_the_public_ones_unless_others_are_named() {
    let config = Config::load(&given(&[], &[])).unwrap();
    assert_eq!(config.registries.npm, "https://registry.npmjs.org");
    assert_eq!(config.registries.pypi, "https://pypi.org");
    let mirror =
        [("HQ_NPM_REGISTRY", "http://10.0.0.5:4873/"), ("HQ_PYPI_INDEX", "https://a.b/x/")];
    let config = Config::load(&given(&[], &mirror)).unwrap();
    assert_eq!(config.registries.npm, "http://10.0.0.5:4873");
    assert_eq!(config.registries.pypi, "https://a.b/x");
}
