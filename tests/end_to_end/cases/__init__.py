"""The twenty hardest cases of a reload, and where each is tested.

The oracle: the answer of a fresh interpreter, started at that moment with an empty bytecode cache
(tests/support/oracle.py, asked by reloading.agree). Wherever the claim is an answer it is compared with that one, and
with what is written beside it. It is not asked where it could not know, or would disturb: while somebody saves or a
call is under way; about processes, threads and connections; about files that only another user may not read; where an
import ends its interpreter, and where asking writes what the application reads.

Modes are choices that must not change an answer: `--reload eager` and `request`, `--on-change redirect` and `hold`
(modes.py). The files of the cases 12 to 20 take turns in them, and `make stress` tries each of their claims in each
mode that it has; in the others a test names the modes that it is about.

     1  a save between the reading of a source and its stamp, or at any moment of the import
            test_import_moments.test_a_save_between_reading_and_stamping
            test_import_moments.test_a_save_during_the_very_first_import
            test_import_moments.test_a_save_at_any_moment_of_the_import
     2  edits of one size within one tick, within one second, with equal times, beside a stale .pyc
            test_equal_stamps.test_equal_size_and_time
            test_equal_stamps.test_a_burst_within_one_second
            test_equal_stamps.test_a_file_with_the_times_of_the_old_one
            test_equal_stamps.test_a_clock_that_was_set_back
     3  a .pyc that fits by second and size and is of other source; files of the epoch
            test_equal_stamps.test_a_stale_pyc
            test_equal_stamps.test_a_pyc_that_appears_while_running
            test_equal_stamps.test_a_stale_pyc_that_is_younger_than_its_source
     4  a request races the save; the reverse is not torn
            test_races.test_a_request_before_the_save_is_not_torn
            test_races.test_two_saves_are_never_seen_in_the_wrong_order
     5  truncated, then written
            test_races.test_truncated_then_written
            test_races.test_truncated_under_the_import
            test_races.test_truncated_at_the_first_start
            test_races.test_in_pieces
            test_races.test_a_writer_who_stays_for_long
     6  broken, then fixed; at the first start, too
            test_broken.test_broken_then_fixed
            test_broken.test_broken_at_the_first_start
            test_broken.test_one_mistake_after_the_other
            test_broken.test_an_import_that_ends_its_process
     7  half-imported leftovers
            test_broken.test_nothing_is_left_behind
     8  no request is lost under load
            ../test_edits_under_load
     9  a stale worker's kept connection
            ../test_kept_connections
            ../test_reload_hold
            ../test_reload_redirect.test_one_redirect_for_all
    10  a change during the reload; there and back
            test_import_moments.test_an_overtaken_generation_answers_nobody
            test_import_moments.test_there_and_back_within_the_load
            test_import_moments.test_broken_code_that_is_mended_within_the_load
            test_import_moments.test_the_last_of_many_saves
            test_import_moments.test_there_and_back
    11  long requests
            test_long_requests.test_a_reload_waits_for_no_answer
            test_long_requests.test_a_reload_waits_for_no_upload
            test_long_requests.test_the_old_process_keeps_only_that
            test_long_requests.test_old_generations_are_as_many_as_long_answers
    12  a checkout, a stash, a rebase of many files
            test_git
    13  a swapped symbolic link, also in the middle of sys.path; a working directory that is deleted
            test_places.test_a_deployment
            test_places.test_a_link_in_the_middle_of_the_path
            test_places.test_the_old_release_is_deleted
            test_places.test_a_linked_file
    14  renamed over, removed and made again, an older time restored, a directory renamed, a package for a module
            test_places.test_a_file_is_replaced
            test_places.test_a_renamed_package
            test_places.test_a_removed_package_comes_back
            test_places.test_a_module_becomes_a_package_and_back
    15  another module is found, and no file that was loaded has changed
            test_resolution
    16  late imports
            test_late_imports
            test_inputs.test_late_imports
            test_inputs.test_every_worker_hears_of_it
    17  inputs that are no modules, and files that are no inputs
            test_data
            test_inputs.test_watch_and_ignore
            test_inputs.test_an_env_file
            test_inputs.test_what_the_application_writes
    18  faults of inotify, hard links, memory maps, file systems
            test_inotify_faults
    19  what a fork does not survive
            test_forks
    20  a shared library is replaced; archives; modules without a source
            test_extensions

More files that are no good source are in test_bad_files; `gates` is the application whose import stops where the test
wants it; test_map and test_modes hold this table, and the turns, to their word.
"""
