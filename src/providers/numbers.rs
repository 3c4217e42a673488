//! Lenient parsing of counts. An invalid count is treated as missing and never fails an answer.

use serde_json::Value;

/// Largest plausible count.
const MOST: f64 = 9e15;

/// The count at a path of field names. Fractions are truncated.
pub(super) fn count(within: &Value, path: &[&str]) -> Option<u64> {
    let value = path.iter().try_fold(within, |value, name| value.get(*name))?;
    value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        (0.0..MOST).contains(&number).then_some(number as u64)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::count;

    #[test]
    fn what_is_no_count_is_none() {
        let usage = json!({
            "plain": 7, "half": 7.5, "less": -7, "text": "7", "null": null, "deep": { "down": 3 },
            "large": 1e300,
        });
        let of = |path: &[&str]| count(&usage, path);
        assert_eq!(
            (of(&["plain"]), of(&["half"]), of(&["deep", "down"])),
            (Some(7), Some(7), Some(3))
        );
        for name in ["less", "text", "null", "deep", "large", "missing"] {
            assert_eq!(of(&[name]), None, "{name}");
        }
        assert_eq!(of(&["plain", "down"]), None);
        assert_eq!(count(&json!([]), &["plain"]), None);
    }
}
