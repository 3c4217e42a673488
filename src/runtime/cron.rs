//! Maps calls of a `cron` tool, which models know from other programs, to HQ's routine tools. Unknown fields stay in
//! the arguments, so that the tool reports them by name.

use serde_json::{Map, Value, json};

use kernel::text::ellipsis;
use kernel::time::from_ms;

/// Longest name that is derived from an instruction, in characters.
const MAX_NAME: usize = 60;
/// Fields without effect: each firing is an item of its own and starts soon anyway.
const IDLE: [&str; 2] = ["kind", "wakeMode"];

/// The routine tool and its arguments; `None` for actions that routines do not have, such as `run`.
pub(super) fn as_routine(
    mut given: Map<String, Value>,
) -> Option<(&'static str, Map<String, Value>)> {
    let action = given.remove("action").unwrap_or_else(|| "list".into());
    let ids = ["id", "jobId"].map(|name| given.remove(name));
    let id = ids.into_iter().flatten().map(|id| ("id".to_owned(), id));
    let mut arguments: Map<String, Value> = id.take(1).collect();
    match action.as_str()? {
        "list" | "status" => Some(("routine_list", Map::new())),
        "remove" | "delete" => Some(("routine_delete", arguments)),
        "add" | "create" | "update" => {
            let jobs = ["job", "patch"].map(|name| given.remove(name));
            let job = match jobs.into_iter().flatten().next() {
                Some(Value::Object(job)) => job,
                // Smaller models leave this level out.
                _ => given,
            };
            arguments.insert("routine".to_owned(), routine(job).into());
            Some(("routine_save", arguments))
        }
        _ => None,
    }
}

fn routine(mut job: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::Object(payload)) = job.remove("payload") {
        job.extend(payload);
    }
    let rename = |job: &mut Map<String, Value>, from: &str, to: &str| {
        if let Some(value) = job.remove(from) {
            job.insert(to.to_owned(), value);
        }
    };
    rename(&mut job, "message", "instruction");
    rename(&mut job, "text", "instruction");
    rename(&mut job, "agentId", "agent");
    rename(&mut job, "sessionTarget", "session");
    if let Some(to) = job.get("delivery").and_then(announced_to) {
        job.insert("deliver_to".to_owned(), to);
        job.remove("delivery");
    }
    let goes = job.remove("deleteAfterRun");
    if job.get("schedule").is_some_and(|schedule| schedule["kind"] == "at") {
        // There a one-time job is deleted when done, unless stated otherwise. For other schedules this means nothing.
        job.insert("delete_when_done".to_owned(), goes.unwrap_or(Value::Bool(true)));
    }
    if let Some(ms) = job.get("schedule").and_then(|schedule| schedule["staggerMs"].as_u64()) {
        job.insert("jitter_secs".to_owned(), ms.div_ceil(1_000).into());
    }
    job.retain(|name, value| {
        let usual = match name.as_str() {
            "enabled" => *value == true,
            "delivery" => value["mode"] == "none",
            name => IDLE.contains(&name),
        };
        !usual
    });
    if let Some(fields) = job.get("schedule").and_then(schedule) {
        job.insert("schedule".to_owned(), fields);
    }
    let instruction = job.get("instruction").and_then(Value::as_str);
    if let (None, Some(text)) = (job.get("name"), instruction) {
        let first = text.trim().lines().next().unwrap_or_default();
        let name = ellipsis(first, MAX_NAME);
        job.insert("name".to_owned(), name.into());
    }
    job
}

/// The place of an announcement; `None` if it names none.
fn announced_to(delivery: &Value) -> Option<Value> {
    let to = delivery.get("to").filter(|to| to.is_string())?;
    (delivery["mode"] == "announce").then(|| to.clone())
}

/// `at`, `every` and `cron` as routine fields; `None` for other kinds.
fn schedule(given: &Value) -> Option<Value> {
    let zone = given.get("tz").filter(|zone| zone.is_string());
    let mut fields = match given["kind"].as_str()? {
        "at" => {
            let ms = given["atMs"].as_i64().map(|ms| json!(from_ms(ms).to_string()));
            json!({ "cadence_type": "once", "at": ms.or_else(|| given.get("at").cloned())? })
        }
        "every" => {
            let minutes = given["everyMs"].as_u64().filter(|ms| ms % 60_000 == 0)? / 60_000;
            match minutes % 60 {
                0 => json!({ "cadence_type": "every_n_hours", "interval_n": minutes / 60 }),
                _ => json!({ "cadence_type": "every_n_minutes", "interval_n": minutes }),
            }
        }
        "cron" => json!({ "cadence_type": "cron", "cron": given.get("expr")? }),
        _ => return None,
    };
    if let Some(zone) = zone {
        fields["timezone"] = zone.clone();
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::as_routine;
    use interfaces_agents::routines::tools::SaveArgs;

    fn of(call: Value) -> Option<(&'static str, Value)> {
        let Value::Object(given) = call else { panic!("an object") };
        as_routine(given).map(|(tool, arguments)| (tool, arguments.into()))
    }

    fn kept(schedule: Value) -> Value {
        let payload = json!({ "kind": "agentTurn", "message": "Look at prices.\nAll of them." });
        let job = json!({ "schedule": schedule, "payload": payload, "sessionTarget": "isolated" });
        let (tool, arguments) = of(json!({ "action": "add", "job": job })).expect("it is meant");
        assert_eq!(tool, "routine_save");
        let read = serde_json::from_value::<SaveArgs>(arguments.clone());
        assert!(read.is_ok(), "{arguments}: {:?}", read.err());
        let routine = &arguments["routine"];
        assert_eq!(routine["name"], "Look at prices.");
        assert_eq!(routine["instruction"], "Look at prices.\nAll of them.");
        routine.clone()
    }

    fn saved(schedule: Value) -> Value {
        kept(schedule)["schedule"].clone()
    }

    #[test]
    fn a_job_becomes_a_routine() {
        assert_eq!(
            saved(json!({ "kind": "cron", "expr": "0 8 * * 1-5", "tz": "Europe/Berlin" })),
            json!({ "cadence_type": "cron", "cron": "0 8 * * 1-5", "timezone": "Europe/Berlin" })
        );
        assert_eq!(
            saved(json!({ "kind": "every", "everyMs": 7_200_000 })),
            json!({ "cadence_type": "every_n_hours", "interval_n": 2 })
        );
        assert_eq!(
            saved(json!({ "kind": "every", "everyMs": 900_000 })),
            json!({ "cadence_type": "every_n_minutes", "interval_n": 15 })
        );
        assert_eq!(
            saved(json!({ "kind": "at", "atMs": 1_796_115_600_000_i64 })),
            json!({ "cadence_type": "once", "at": "2026-12-01T09:00:00Z" })
        );
        let at = json!({ "kind": "at", "at": "2026-12-01T09:00:00Z" });
        assert_eq!(saved(at)["cadence_type"], "once");
    }

    #[test]
    fn one_moment_goes_when_it_is_done_and_the_conversation_and_the_delay_are_kept() {
        let at = kept(json!({ "kind": "at", "at": "2026-12-01T09:00:00Z" }));
        assert_eq!((&at["delete_when_done"], &at["session"]), (&json!(true), &json!("isolated")));
        let cron = kept(json!({ "kind": "cron", "expr": "0 8 * * *", "staggerMs": 90_000 }));
        assert_eq!((&cron["delete_when_done"], &cron["jitter_secs"]), (&Value::Null, &json!(90)));
        let job = json!({
            "name": "Look", "text": "Look", "sessionTarget": "main", "deleteAfterRun": false,
            "schedule": { "kind": "at", "at": "2026-12-01T09:00:00Z" },
        });
        let (_, arguments) = of(json!({ "action": "add", "job": job })).unwrap();
        let routine = &arguments["routine"];
        assert_eq!(
            (&routine["session"], &routine["delete_when_done"]),
            (&json!("main"), &json!(false))
        );
        assert!(serde_json::from_value::<SaveArgs>(arguments.clone()).is_ok(), "{arguments}");
    }

    #[test]
    fn each_action_is_a_tool_and_what_there_is_none_for_stays_unknown() {
        assert_eq!(of(json!({})), Some(("routine_list", json!({}))));
        assert_eq!(of(json!({ "action": "list", "includeDisabled": true })).unwrap().1, json!({}));
        let gone = of(json!({ "action": "remove", "jobId": "0190" }));
        assert_eq!(gone, Some(("routine_delete", json!({ "id": "0190" }))));
        let changed = of(json!({ "action": "update", "id": "0190", "patch": { "name": "Look" } }));
        let wanted = json!({ "id": "0190", "routine": { "name": "Look" } });
        assert_eq!(changed, Some(("routine_save", wanted)));
        assert_eq!(of(json!({ "action": "run", "jobId": "0190" })), None);
        assert_eq!(of(json!({ "action": 7 })), None);
    }

    #[test]
    fn what_a_routine_has_no_place_for_is_refused_and_not_forgotten() {
        let delivery = json!({ "mode": "announce", "channel": "telegram" });
        let job = json!({ "name": "Look", "text": "Look", "delivery": delivery, "enabled": true });
        let (_, arguments) = of(json!({ "action": "add", "job": job })).unwrap();
        let refused = serde_json::from_value::<SaveArgs>(arguments).err().expect("it is refused");
        assert!(refused.to_string().contains("delivery"), "{refused}");
        let delivery = json!({ "mode": "announce", "channel": "telegram", "to": "Sales" });
        let job = json!({ "name": "Look", "text": "Look", "delivery": delivery });
        let (_, arguments) = of(json!({ "action": "add", "job": job })).unwrap();
        assert_eq!(arguments["routine"]["deliver_to"], "Sales", "{arguments}");
        assert!(serde_json::from_value::<SaveArgs>(arguments).is_ok());
    }
}
