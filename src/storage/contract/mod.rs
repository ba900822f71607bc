//! The contract of the seam as tests that any engine is run through: `contract::suite!(Engine)` makes a test of each case.

pub(super) mod apply;
pub(super) mod durability;
mod engine;
pub(super) mod kept;
pub(super) mod order;
pub(super) mod positions;
pub(super) mod prune;
pub(super) mod rejections;
pub(super) mod replay;
pub(super) mod rewritten;
pub(super) mod tail;
pub(super) mod verify;

pub(super) use engine::{Engine, Value};

/// A test of each case for an engine. A case that is missing here is unused code, which is an error.
macro_rules! suite {
    ($engine:ty) => {
        $crate::storage::contract::cases! {
            $engine;
            apply:
                every_column_of_an_opportunity_is_stored,
                every_column_of_a_project_is_stored,
                the_position_and_its_counters_move_with_the_rows,
                an_unidentified_message_is_kept_byte_for_byte,
                an_unidentified_message_that_is_read_again_is_counted_and_kept_once,
                a_batch_from_another_position_is_a_conflict,
                a_writer_with_an_outdated_position_gets_a_conflict,
                a_missing_topic_id_counts_as_the_same_topic,
                a_batch_that_contradicts_itself_takes_no_effect,
                an_empty_batch_takes_no_effect,
                an_id_of_an_unidentified_message_is_never_used_twice,
                the_messages_for_the_log_file_are_bounded_and_ascend,
                a_rejection_says_why;
            durability:
                what_was_stored_before_a_sync_is_synced,
                an_existing_database_keeps_its_id,
                a_database_that_was_not_created_is_missing,
                access_is_checked_without_a_database;
            kept:
                the_newest_messages_are_listed_first,
                each_part_of_a_filter_narrows,
                a_message_is_read_byte_for_byte,
                every_message_at_an_offset_is_found;
            order:
                the_order_of_arrival_does_not_matter,
                each_event_is_greater_than_the_one_before,
                a_smaller_event_of_either_type_is_counted_as_stale,
                events_of_several_partitions_meet_each_other,
                the_same_event_again_is_applied_and_keeps_its_first_time;
            positions:
                a_stored_position_is_found,
                positions_belong_to_their_group,
                a_jump_resets_the_counters_and_is_kept,
                a_jump_from_another_position_is_a_conflict,
                the_newest_jumps_are_listed_first;
            prune:
                what_matches_is_deleted_and_counted,
                a_message_that_is_not_in_the_log_file_stays,
                a_prune_is_bounded_and_resumes_anywhere,
                a_position_counts_an_offset_once,
                what_was_pruned_is_kept_again_when_it_is_read_again,
                a_message_without_a_topic_id_counts_for_the_topic,
                a_message_that_is_missing_is_found_after_a_prune;
            rejections:
                one_rejected_record_is_kept_and_all_others_are_stored,
                many_rejected_records_and_nothing_but_rejected_ones_are_kept,
                several_partitions_in_one_call_keep_their_counts,
                a_write_that_failed_is_repeated_with_its_attempt;
            replay:
                what_is_recovered_is_stored_by_the_rule_and_marked,
                a_second_replay_changes_nothing,
                a_dry_run_says_the_same_and_writes_nothing,
                the_pending_messages_are_bounded_and_ascend;
            rewritten:
                both_records_of_an_offset_are_kept,
                a_record_differs_by_any_of_key_value_headers_and_time,
                reading_the_same_records_again_adds_none_and_a_missing_one_is_found,
                a_record_of_the_truncated_log_does_not_count_for_a_missing_one,
                a_message_that_another_group_finds_later_counts_for_both,
                each_of_several_messages_at_an_offset_is_found_for_the_log_file,
                the_summary_counts_every_row,
                an_event_that_is_read_again_changes_nothing,
                another_record_at_the_offset_of_the_stored_event_replaces_it;
            tail:
                what_is_stored_is_found_once;
            verify:
                a_sound_database_violates_nothing,
                each_violation_is_found_alone,
                every_group_counts,
                messages_of_an_earlier_topic_do_not_count_for_others,
                a_message_from_before_the_topic_id_was_known_counts_once;
        }
    };
}

macro_rules! cases {
    ($engine:ty; $($module:ident: $($case:ident),+;)+) => {
        $(mod $module {
            use super::*;

            $(#[test]
            fn $case() {
                $crate::storage::contract::$module::$case::<$engine>();
            })+
        })+
    };
}

pub(super) use {cases, suite};
