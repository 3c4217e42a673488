//! Incidents of similar programs, each with its rule and the tests that prevent it here. A renamed or removed test is
//! detected at once.

use std::collections::BTreeSet;
use std::path::Path;

use support::source;

/// Tag of a rule, the incident elsewhere that led to it, and the tests that enforce it.
const RULES: &[(&str, &str, &[&str])] = &[
    (
        "R5",
        "a program without a sign-in changed what is run",
        &[
            "without_a_sign_in_everything_is_closed_but_the_listed_routes",
            "each_role_reaches_what_its_row_of_the_table_says",
        ],
    ),
    (
        "R8",
        "an agent was talked into sending what it knew away in an address",
        &[
            "no_key_goes_out_in_an_address",
            "twenty_orders_from_outside_have_no_effect_though_the_agent_may_do_everything",
            "live_secrets_and_keys_do_not_go_out",
        ],
    ),
    (
        "R9",
        "a rule was lost with a summary, and a stop was not heard",
        &[
            "a_summary_that_loses_a_rule_is_written_again_and_then_mended_by_rules",
            "a_refusal_wins_over_every_yes_and_a_locked_agent_only_looks",
            "a_run_is_stopped_while_the_model_says_nothing_and_a_second_time_changes_nothing",
            "calls_of_one_message_stand_on_one_card_and_each_has_its_own_answer",
        ],
    ),
    (
        "R10",
        "words of a page or a title became orders",
        &[
            "thirty_orders_in_what_an_agent_keeps_have_no_effect_without_a_yes",
            "twenty_orders_from_outside_have_no_effect_though_the_agent_may_do_everything",
            "what_was_read_from_outside_makes_every_mode_ask_until_a_person_trusts_it",
            "instructions_in_files_and_output_are_carried_out_by_nobody",
        ],
    ),
    (
        "R12",
        "what was written into memory and identity came back the next day",
        &[
            "an_agent_asks_before_it_changes_who_it_is_and_shows_the_lines",
            "a_program_that_changes_who_an_agent_is_leaves_it_as_it_was_and_a_draft_beside",
            "what_is_written_after_words_from_outside_labels_who_reads_it_until_somebody_accepts_it",
        ],
    ),
    (
        "R13",
        "requests reached what lies inside",
        &[
            "no_way_of_writing_a_private_address_gets_through",
            "a_name_that_turns_to_a_private_address_is_refused_when_it_does",
            "web_fetch_reaches_no_private_address_and_marks_what_it_brings",
        ],
    ),
    (
        "R15",
        "somebody gave more than they had",
        &[
            "nobody_gives_more_than_they_have_and_an_admin_does_not_touch_owners",
            "an_invitation_is_worth_no_more_than_whoever_made_it",
            "a_token_does_what_its_scopes_say_and_never_more_than_its_owner",
            "what_refuses_wins_nothing_widens_a_lock_and_nobody_lends_more_than_they_may",
        ],
    ),
    (
        "R16",
        "a shell made other words of what was approved",
        &[
            "what_the_shell_would_work_out_is_opaque",
            "wrappers_that_do_more_are_opaque",
            "a_pattern_never_lets_another_program_through",
            "a_script_that_was_swapped_after_the_yes_is_asked_for_anew",
            "a_program_reads_what_it_is_given_and_gets_no_inherited_environment",
        ],
    ),
    (
        "R22",
        "keys lay about in logs, files and answers",
        &[
            "a_value_is_found_nowhere_but_sealed",
            "one_look_at_every_place_finds_no_value",
            "a_secret_that_a_tool_comes_across_reaches_neither_model_nor_page",
            "a_token_is_shown_once_and_no_secret_lies_in_the_data_folder",
        ],
    ),
    (
        "R25",
        "agents held the key to everything",
        &[
            "programs_do_not_reach_what_is_not_theirs",
            "a_program_sends_a_key_that_it_never_has_to_its_host_alone",
        ],
    ),
    (
        "R26",
        "sealed values were sent along with events, and cut tags were taken",
        &[
            "every_forged_or_broken_vector_fails_with_its_error",
            "a_value_is_found_nowhere_but_sealed",
        ],
    ),
    (
        "R28",
        "an approval was answered by another one's yes",
        &[
            "of_two_answers_at_once_one_counts_and_the_same_call_once_more_is_asked_for_anew",
            "the_id_of_an_approval_in_the_words_of_an_agent_answers_nothing",
            "a_yes_is_bound_to_all_that_a_call_says_and_to_each_file_that_it_names",
            "only_people_with_the_right_answer_and_a_page_shows_it",
            "a_yes_counts_for_the_value_that_a_secret_had_alone",
        ],
    ),
];

#[test]
fn each_rule_has_its_tests_and_they_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut there = BTreeSet::new();
    for folder in ["src", "tests"] {
        for (_, text) in source::files(&root.join(folder)) {
            let names = text.match_indices("fn ").filter_map(|(at, _)| {
                let name = text[at + 3..].split('(').next()?;
                Some(name.trim().to_owned())
            });
            there.extend(names);
        }
    }
    for (tag, what, tests) in RULES {
        assert!(!tests.is_empty(), "{tag}, {what}: no test holds it");
        for test in *tests {
            assert!(there.contains(*test), "{tag}, {what}: there is no test {test}");
        }
    }
}
