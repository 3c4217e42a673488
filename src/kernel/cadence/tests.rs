//! Tests schedules against the vectors of the specification, against plain day counting, and over ten years in all time
//! zones.

use jiff::civil::{Date, DateTime, Time, Weekday, date};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};
use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

use super::cron::Line;
use super::{Passed, Schedule, ScheduleFields, instant};
use crate::vocab::CadenceKind;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn fields(kind: CadenceKind, start: &str, zone: &str) -> ScheduleFields {
    ScheduleFields {
        cadence_type: Some(kind),
        starts_on: Some(start.to_owned()),
        timezone: Some(zone.to_owned()),
        ..ScheduleFields::default()
    }
}

fn read(fields: &ScheduleFields) -> Schedule {
    fields.read("UTC", at("2026-11-20T12:00:00Z")).unwrap()
}

fn cron(line: &str, zone: &str) -> Schedule {
    let fields = ScheduleFields {
        cron: Some(line.to_owned()),
        ..fields(CadenceKind::Cron, "2026-01-01", zone)
    };
    read(&fields)
}

/// The next `count` dates after `after`, in the schedule's zone.
fn dates(schedule: &Schedule, after: &str, count: usize) -> Vec<String> {
    let all = schedule.upcoming(at(after), count);
    all.into_iter().map(|at| schedule.date_of(at).to_string()).collect()
}

#[test]
fn wall_times_that_are_missing_or_come_twice_are_as_specified() {
    let vectors = [
        ("America/New_York", "2026-03-08T02:30", "2026-03-08T07:00:00Z"),
        ("America/New_York", "2026-11-01T01:30", "2026-11-01T05:30:00Z"),
        ("Europe/Berlin", "2026-03-29T02:30", "2026-03-29T01:00:00Z"),
        ("Europe/Berlin", "2026-10-25T02:30", "2026-10-25T00:30:00Z"),
        ("Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-03T15:30:00Z"),
        ("Australia/Lord_Howe", "2026-04-05T01:45", "2026-04-04T14:45:00Z"),
        ("Asia/Kolkata", "2026-11-20T09:00", "2026-11-20T03:30:00Z"),
    ];
    for (zone, wall, expected) in vectors {
        let wall: DateTime = wall.parse().unwrap();
        let tz = TimeZone::get(zone).unwrap();
        assert_eq!(instant(&tz, wall), Some(at(expected)), "{zone} {wall}");
        // The same through daily and cron schedules, queried one minute before and at the moment itself.
        let daily = read(&ScheduleFields {
            time_of_day: Some(wall.time().strftime("%H:%M").to_string()),
            ..fields(CadenceKind::Daily, "2026-01-01", zone)
        });
        let line = cron(&format!("{} {} * * *", wall.minute(), wall.hour()), zone);
        for schedule in [daily, line] {
            let before = at(expected) - 1.minute();
            assert_eq!(schedule.next(before), Some(at(expected)), "{zone} {wall}");
            let day = schedule.next(at(expected)).map(|at| schedule.date_of(at));
            assert_eq!(day, wall.date().tomorrow().ok(), "{zone} {wall}: once a day");
        }
    }
}

#[test]
fn phases_count_from_the_first_day() {
    let three = read(&ScheduleFields {
        interval_n: Some(3),
        ..fields(CadenceKind::EveryNDays, "2026-11-20", "Europe/Berlin")
    });
    let expected = ["2026-11-20", "2026-11-23", "2026-11-26"];
    assert_eq!(dates(&three, "2020-01-01T00:00:00Z", 3), expected);
    for from in ["2026-11-20T08:00:00Z", "2026-11-21T23:00:00Z", "2026-11-23T07:59:59Z"] {
        assert_eq!(dates(&three, from, 1), ["2026-11-23"], "{from}");
    }
    let weeks = read(&ScheduleFields {
        interval_n: Some(2),
        days_of_week: vec![5, 1],
        ..fields(CadenceKind::Weekly, "2026-11-18", "UTC") // a Wednesday
    });
    let expected = ["2026-11-20", "2026-11-30", "2026-12-04", "2026-12-14"];
    assert_eq!(dates(&weeks, "2026-01-01T00:00:00Z", 4), expected);
    assert_eq!(dates(&weeks, "2026-11-24T00:00:00Z", 3), expected[1..]);
    let weekly = read(&fields(CadenceKind::Weekly, "2026-11-18", "UTC"));
    assert_eq!(dates(&weekly, "2026-11-18T09:00:00Z", 2), ["2026-11-25", "2026-12-02"]);
    let months = read(&ScheduleFields {
        interval_n: Some(2),
        day_of_month: Some(31),
        ..fields(CadenceKind::Monthly, "2026-12-01", "UTC")
    });
    let expected = ["2026-12-31", "2027-02-28", "2027-04-30", "2027-06-30", "2027-08-31"];
    assert_eq!(dates(&months, "2026-01-01T00:00:00Z", 5), expected);
    let last = read(&ScheduleFields {
        day_of_month: Some(-1),
        ..fields(CadenceKind::Monthly, "2028-01-31", "UTC")
    });
    assert_eq!(dates(&last, "2028-01-31T10:00:00Z", 2), ["2028-02-29", "2028-03-31"]);
    let work = read(&fields(CadenceKind::Weekdays, "2026-11-20", "UTC")); // a Friday
    assert_eq!(dates(&work, "2026-11-20T00:00:00Z", 2), ["2026-11-20", "2026-11-23"]);
}

#[test]
fn minutes_and_hours_count_elapsed_time() {
    let quarter = read(&fields(CadenceKind::EveryNMinutes, "2026-11-20", "Europe/Berlin"));
    assert_eq!(quarter.next(at("2026-11-20T12:07:00Z")), Some(at("2026-11-20T12:15:00Z")));
    assert_eq!(quarter.next(at("2026-11-20T12:15:00Z")), Some(at("2026-11-20T12:30:00Z")));
    assert_eq!(quarter.next(at("2026-11-01T00:00:00Z")), Some(at("2026-11-19T23:00:00Z")));
    let six = read(&ScheduleFields {
        interval_n: Some(6),
        time_of_day: Some("8:30".to_owned()),
        ..fields(CadenceKind::EveryNHours, "2026-10-24", "Europe/Berlin")
    });
    let all = six.upcoming(at("2026-10-24T19:00:00Z"), 3);
    let expected = ["2026-10-25T00:30:00Z", "2026-10-25T06:30:00Z", "2026-10-25T12:30:00Z"];
    assert_eq!(all, expected.map(at), "the night has an hour more");
}

#[test]
fn cron_lines_are_read_as_cron_does() {
    let working = cron("0 9 * * MON-FRI", "Europe/Berlin");
    assert_eq!(working.next(at("2026-11-20T08:00:00Z")), Some(at("2026-11-23T08:00:00Z")));
    let last = cron("30 18 L * *", "UTC");
    assert_eq!(dates(&last, "2026-11-20T00:00:00Z", 2), ["2026-11-30", "2026-12-31"]);
    let either = cron("0 0 13 * 5", "UTC");
    let expected = ["2026-11-06", "2026-11-13", "2026-11-20", "2026-11-27", "2026-12-04"];
    assert_eq!(dates(&either, "2026-11-01T00:00:00Z", 5), expected);
    assert_eq!(dates(&either, "2026-12-12T00:00:00Z", 1), ["2026-12-13"], "a Sunday");
    // A day field that begins with `*` never widens the other one, whatever follows the star.
    for (line, days) in [
        ("0 0 */2 * 1", ["2026-11-09", "2026-11-23", "2026-12-07", "2026-12-21"]),
        ("0 0 13 * */2", ["2026-12-13", "2027-02-13", "2027-03-13", "2027-04-13"]),
        ("0 0 */1 * 5", ["2026-11-06", "2026-11-13", "2026-11-20", "2026-11-27"]),
        ("0 0 * * 5", ["2026-11-06", "2026-11-13", "2026-11-20", "2026-11-27"]),
        ("0 0 1-31 * 5", ["2026-11-01", "2026-11-02", "2026-11-03", "2026-11-04"]),
        ("0 0 13 * 0-6", ["2026-11-01", "2026-11-02", "2026-11-03", "2026-11-04"]),
    ] {
        assert_eq!(dates(&cron(line, "UTC"), "2026-10-31T12:00:00Z", 4), days, "{line}");
    }
    let lists = cron("*/20 8,20 * * *", "UTC");
    let all = lists.upcoming(at("2026-11-20T08:30:00Z"), 3);
    let expected = ["2026-11-20T08:40:00Z", "2026-11-20T20:00:00Z", "2026-11-20T20:20:00Z"];
    assert_eq!(all, expected.map(at));
    let leap = cron("0 0 29 2 *", "UTC");
    assert_eq!(dates(&leap, "2026-11-20T00:00:00Z", 2), ["2028-02-29", "2032-02-29"]);
}

#[test]
fn every_cron_line_has_words() {
    for (line, words) in [
        ("0 9 1 * 1", "At 09:00, on day 1 or Monday"),
        ("0 9 15W * *", "At 09:00, on the weekday nearest day 15"),
        ("0 9 * * 1#2", "At 09:00, on the 2nd Monday of the month"),
        ("0 9 31 * *", "At 09:00, on day 31"),
    ] {
        assert_eq!(cron(line, "UTC").words(), format!("{words}, UTC"));
    }
    let both = cron("0 9 */2 * 1", "UTC").words();
    assert!(both.ends_with("(if it is also Monday), UTC"), "{both}");
}

#[test]
fn what_runs_each_hour_does_so_while_the_clocks_change() {
    let hourly = cron("30 * * * *", "Europe/Berlin");
    for night in ["2026-10-24T22:00:00Z", "2026-03-28T22:00:00Z"] {
        let all = hourly.upcoming(at(night), 8);
        let steps: Vec<i64> =
            all.windows(2).map(|two| two[1].as_second() - two[0].as_second()).collect();
        assert_eq!(steps, [3_600; 7], "{night}");
    }
    let fixed = cron("30 1-3 * * *", "Europe/Berlin");
    let all = fixed.between(at("2026-10-24T22:00:00Z"), at("2026-10-25T22:00:00Z"), 9);
    let expected = ["2026-10-24T23:30:00Z", "2026-10-25T00:30:00Z", "2026-10-25T02:30:00Z"];
    assert_eq!(all, expected.map(at));
}

#[test]
fn one_moment_comes_once() {
    let wall = ScheduleFields {
        at: Some("2026-11-20T09:00".to_owned()),
        ..fields(CadenceKind::Once, "2026-11-20", "Europe/Berlin")
    };
    let once = read(&wall);
    assert_eq!(once.next(at("2026-11-20T07:59:59Z")), Some(at("2026-11-20T08:00:00Z")));
    assert_eq!(once.next(at("2026-11-20T08:00:00Z")), None);
    let exact = ScheduleFields { at: Some("2026-11-20T09:00:00+01:00".to_owned()), ..wall };
    assert_eq!(read(&exact), once);
}

#[test]
fn what_has_passed_is_counted_and_the_newest_named() {
    let daily = read(&fields(CadenceKind::Daily, "2026-11-01", "UTC"));
    let passed = daily.passed(at("2026-11-10T09:00:00Z"), at("2026-11-14T09:00:00Z"));
    assert_eq!(passed, Some(Passed { last: at("2026-11-14T09:00:00Z"), count: 4 }));
    assert_eq!(daily.passed(at("2026-11-14T09:00:00Z"), at("2026-11-15T08:59:59Z")), None);
}

#[test]
fn schedules_have_words() {
    let zone = "Europe/Berlin";
    let with = |kind: CadenceKind, change: fn(&mut ScheduleFields)| {
        let mut fields = fields(kind, "2026-11-20", zone);
        change(&mut fields);
        let schedule = read(&fields);
        (schedule.words(), schedule.pill())
    };
    let pairs = [
        (with(CadenceKind::Weekdays, |_| {}), "Weekdays at 9:00, Europe/Berlin", "Weekdays"),
        (with(CadenceKind::Daily, |_| {}), "Daily at 9:00, Europe/Berlin", "Daily"),
        (
            with(CadenceKind::EveryNDays, |of| of.interval_n = Some(3)),
            "Every 3 days at 9:00, Europe/Berlin",
            "Every 3d",
        ),
        (
            with(CadenceKind::Weekly, |of| of.days_of_week = vec![1, 3, 5]),
            "Weekly on Monday, Wednesday and Friday at 9:00, Europe/Berlin",
            "Weekly · MWF",
        ),
        (
            with(CadenceKind::Weekly, |of| of.interval_n = Some(2)),
            "Every 2 weeks on Friday at 9:00, Europe/Berlin",
            "Every 2w · F",
        ),
        (
            with(CadenceKind::Monthly, |of| of.day_of_month = Some(22)),
            "Monthly on the 22nd at 9:00, Europe/Berlin",
            "Monthly · 22",
        ),
        (
            with(CadenceKind::Monthly, |of| of.day_of_month = Some(-1)),
            "Monthly on the last day at 9:00, Europe/Berlin",
            "Monthly · Last",
        ),
        (with(CadenceKind::EveryNMinutes, |_| {}), "Every 15 minutes", "Every 15min"),
        (with(CadenceKind::EveryNHours, |_| {}), "Every hour", "Hourly"),
        (
            with(CadenceKind::Cron, |of| of.cron = Some(" 0  9 * * 1-5 ".to_owned())),
            "Weekdays at 9:00, Europe/Berlin",
            "Cron",
        ),
        (
            with(CadenceKind::Cron, |of| of.cron = Some("0 9 1 * 1".to_owned())),
            "At 09:00, on day 1 or Monday, Europe/Berlin",
            "Cron",
        ),
        (
            with(CadenceKind::Once, |of| of.at = Some("2026-12-01T08:05".to_owned())),
            "Once on 1 Dec 2026 at 8:05, Europe/Berlin",
            "Once",
        ),
    ];
    for ((words, pill), expected, short) in pairs {
        assert_eq!((words.as_str(), pill.as_str()), (expected, short));
    }
    let describe = |kind, reader: &str| read(&fields(kind, "2026-11-20", zone)).describe(reader);
    assert_eq!(describe(CadenceKind::Weekdays, zone), "Every weekday at 9:00");
    assert_eq!(describe(CadenceKind::Daily, "UTC"), "Every day at 9:00, Europe/Berlin");
    assert_eq!(describe(CadenceKind::EveryNMinutes, zone), "Every 15 minutes");
}

#[test]
fn what_is_wrong_is_named_by_field() {
    let wrong = |change: fn(&mut ScheduleFields)| {
        let mut fields = fields(CadenceKind::Daily, "2026-11-20", "Europe/Berlin");
        change(&mut fields);
        let faults = fields.read("UTC", at("2026-11-20T12:00:00Z")).unwrap_err();
        faults.into_iter().map(|fault| fault.field).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(wrong(|of| of.cadence_type = None), "cadence_type");
    // A field that only one cadence uses determines the kind.
    let bare = |set: fn(&mut ScheduleFields)| {
        let mut fields = ScheduleFields::default();
        set(&mut fields);
        fields.kind()
    };
    assert_eq!(bare(|of| of.cron = Some("0 9 * * 1-5".into())), Some(CadenceKind::Cron));
    assert_eq!(bare(|of| of.at = Some("2030-01-01".into())), Some(CadenceKind::Once));
    let error_of = |line: &str| Line::parse(line).err().unwrap_or_default();
    assert_eq!(error_of("61 9 * * *"), "`61` isn't a valid minute");
    assert_eq!(error_of("0 9 * * fun"), "`fun` isn't a valid day of the week");
    assert_eq!(wrong(|of| of.timezone = Some("Mars/Base".to_owned())), "timezone");
    assert_eq!(wrong(|of| of.time_of_day = Some("25:00".to_owned())), "time_of_day");
    assert_eq!(wrong(|of| of.time_of_day = Some("9:0".to_owned())), "time_of_day");
    assert_eq!(wrong(|of| of.starts_on = Some("2026-02-30".to_owned())), "starts_on");
    assert_eq!(wrong(|of| of.interval_n = Some(0)), "interval_n");
    assert_eq!(wrong(|of| of.interval_n = Some(366)), "interval_n");
    let weekly = |of: &mut ScheduleFields| {
        of.cadence_type = Some(CadenceKind::Weekly);
        of.days_of_week = vec![1, 8];
    };
    assert_eq!(wrong(weekly), "days_of_week");
    let monthly = |of: &mut ScheduleFields| {
        of.cadence_type = Some(CadenceKind::Monthly);
        of.day_of_month = Some(0);
    };
    assert_eq!(wrong(monthly), "day_of_month");
    let once = |of: &mut ScheduleFields| of.cadence_type = Some(CadenceKind::Once);
    assert_eq!(wrong(once), "at");
    let many = |of: &mut ScheduleFields| {
        of.timezone = Some("x".to_owned());
        of.starts_on = Some("soon".to_owned());
        of.time_of_day = Some("noon".to_owned());
        of.interval_n = Some(0);
    };
    assert_eq!(wrong(many), "timezone starts_on time_of_day interval_n");
    for line in ["", "0 9 * *", "0 0 9 * * *", "61 * * * *", "@daily", "0 0 30 2 *", "0 0 1 * +1"] {
        let fields = ScheduleFields {
            cron: Some(line.to_owned()),
            ..fields(CadenceKind::Cron, "2026-11-20", "UTC")
        };
        let faults = fields.read("UTC", at("2026-11-20T12:00:00Z")).unwrap_err();
        assert_eq!(faults[0].field, "cron", "{line}");
    }
}

#[test]
fn every_zone_agrees_around_its_changes() {
    let (from, until) = (at("2026-01-01T00:00:00Z"), at("2036-01-01T00:00:00Z"));
    for name in jiff::tz::db().available() {
        let zone = TimeZone::get(name.as_str()).unwrap();
        for change in zone.following(from).take_while(|change| change.timestamp() < until) {
            let (moment, after) = (change.timestamp(), change.offset());
            let before = zone.to_offset(moment - 1.second());
            // From two hours before to two hours after the change, on both clocks, in steps of 15 minutes.
            for quarter in -8..8 {
                let wall = before.to_datetime(moment) + (quarter * 15).minutes();
                let found = instant(&zone, wall).unwrap();
                match zone.to_ambiguous_timestamp(wall).offset() {
                    AmbiguousOffset::Gap { .. } => assert_eq!(found, moment, "{name} {wall}"),
                    AmbiguousOffset::Fold { before, .. } => {
                        assert_eq!(found, before.to_timestamp(wall).unwrap(), "{name} {wall}");
                        assert!(found < moment, "{name} {wall}: the first of the two");
                    }
                    AmbiguousOffset::Unambiguous { .. } => {
                        assert_eq!(zone.to_datetime(found), wall, "{name} with {after}");
                    }
                }
            }
        }
    }
}

/// Returns `true` if the cadence includes `day`. Independent reference implementation.
fn expects(of: &ScheduleFields, start: Date, day: Date) -> bool {
    let every = i32::try_from(of.interval_n.unwrap_or(1)).unwrap();
    let monday = |day: Date| {
        let back = i64::from(day.weekday().to_monday_zero_offset());
        day.checked_sub(back.days()).unwrap()
    };
    let days = |from: Date, to: Date| from.until(to).unwrap().get_days();
    let number = |day: Date| i32::from(day.year()) * 12 + i32::from(day.month());
    match of.cadence_type.unwrap() {
        CadenceKind::Daily | CadenceKind::EveryNDays => days(start, day) % every == 0,
        CadenceKind::Weekdays => !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday),
        CadenceKind::Weekly => {
            let listed = of
                .days_of_week
                .contains(&u8::try_from(day.weekday().to_monday_one_offset()).unwrap());
            listed && (days(monday(start), monday(day)) / 7) % every == 0
        }
        CadenceKind::Monthly => {
            let wanted = of.day_of_month.unwrap();
            let last = day.days_in_month();
            let due = if wanted == -1 { last } else { wanted.min(last) };
            (number(day) - number(start)) % every == 0 && day.day() == due
        }
        other => panic!("{other} is not by days"),
    }
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(32))]

    /// Over ten years in any zone, occurrences strictly increase and fall on exactly the days of the reference
    /// implementation, at the requested time wherever that time exists.
    #[test]
    fn nothing_is_lost_doubled_or_moved_in_ten_years(
        place in 0usize..10_000,
        kind in 0usize..5,
        every in 1u32..6,
        days in proptest::collection::vec(1u8..8, 1..4),
        on in -1i8..32,
        minute in 0i8..60,
        hour in 0i8..24,
        offset in 0i32..400,
    ) {
        let zones: Vec<_> = jiff::tz::db().available().collect();
        let name = zones[place % zones.len()].as_str();
        let zone = TimeZone::get(name).unwrap();
        let start = date(2026, 1, 1).checked_add(offset.days()).unwrap();
        let end = start.checked_add(10.years()).unwrap();
        let kinds = [
            CadenceKind::Daily,
            CadenceKind::Weekdays,
            CadenceKind::Weekly,
            CadenceKind::Monthly,
            CadenceKind::EveryNDays,
        ];
        let of = ScheduleFields {
            interval_n: (kinds[kind] != CadenceKind::Weekdays).then_some(every),
            days_of_week: days,
            day_of_month: Some(if on == 0 { 1 } else { on }),
            time_of_day: Some(format!("{hour:02}:{minute:02}")),
            ..fields(kinds[kind], &start.to_string(), name)
        };
        let schedule = read(&of);
        prop_assert_eq!(&read(&ScheduleFields::from(&schedule)), &schedule);
        let time = Time::new(hour, minute, 0, 0).unwrap();
        let mut expected: Vec<Timestamp> = start
            .series(1.day())
            .take_while(|day| *day < end)
            .filter(|day| expects(&of, start, *day))
            .map(|day| instant(&zone, day.to_datetime(time)).unwrap())
            .collect();
        // A day that a zone skips maps to the first moment after it, which may equal the next day's moment.
        expected.dedup();
        let until = instant(&zone, end.to_datetime(Time::midnight())).unwrap();
        let until = until - 1.second();
        let found = schedule.between(Timestamp::MIN, until, usize::MAX);
        prop_assert!(found.windows(2).all(|two| two[0] < two[1]));
        prop_assert_eq!(found.len(), expected.len());
        prop_assert_eq!(&found, &expected);
        for at in &found {
            let wall = zone.to_datetime(*at);
            // A gap before midnight ends on the next day, as in Nuuk.
            let missing = [wall.date(), wall.date().yesterday().unwrap()].iter().any(|day| {
                let ambiguous = zone.to_ambiguous_timestamp(day.to_datetime(time));
                matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. })
            });
            prop_assert!(missing || wall.time() == time, "{} in {}", wall, name);
        }
        // The list does not depend on the moment from which it is queried.
        for pair in found.windows(2).step_by(97) {
            let between = Timestamp::from_millisecond(
                i64::midpoint(pair[0].as_millisecond(), pair[1].as_millisecond()),
            ).unwrap();
            prop_assert_eq!(schedule.next(between), Some(pair[1]));
        }
    }

    /// Cron lines and elapsed cadences also make progress. A line with one time of day equals the daily cadence.
    #[test]
    fn cron_lines_move_on_and_agree_with_days(
        place in 0usize..10_000,
        minute in 0i8..60,
        hour in 0i8..24,
        step in 1u32..500,
    ) {
        let zones: Vec<_> = jiff::tz::db().available().collect();
        let name = zones[place % zones.len()].as_str();
        let daily = read(&ScheduleFields {
            time_of_day: Some(format!("{hour:02}:{minute:02}")),
            ..fields(CadenceKind::Daily, "2026-01-01", name)
        });
        let line = cron(&format!("{minute} {hour} * * *"), name);
        let two = at("2028-01-01T00:00:00Z");
        let days = daily.between(Timestamp::MIN, two, usize::MAX);
        prop_assert_eq!(&line.between(Timestamp::MIN, two, usize::MAX), &days);
        let often = cron(&format!("*/{} * * * *", step.clamp(1, 59)), name);
        let elapsed = read(&ScheduleFields {
            interval_n: Some(step),
            ..fields(CadenceKind::EveryNMinutes, "2026-01-01", name)
        });
        for schedule in [often, elapsed] {
            let mut all = schedule.upcoming(days[60], 300);
            prop_assert_eq!(all.len(), 300);
            all.insert(0, days[60]);
            prop_assert!(all.windows(2).all(|two| two[0] < two[1]));
        }
    }
}
