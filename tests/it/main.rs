//! The one integration test program.

mod architecture; // the direction of the layers, and what is confined where
mod approvals; // what agents may do without asking, and calls that wait for a yes
mod arrivals; // workspaces and people that come from another HQ
mod sandbox; // what a hostile program can do in the jail, and how it is ended
mod rules; // rules on a store alone: what holds whatever comes
mod agent_asks; // what outlasts a pause, what no tool reaches, names that mean harm, git's own program
mod ops; // every noun of the kit: rights, fields, revisions, repeats, undo, one answer everywhere
mod agents; // agents: set-up, files, what each does now
mod inbox; // what waits for agents: order, hours, limits, and that nothing is begun twice
mod browser; // browsers of agents: the switch, pages in few words, acts, what is closed, what people see
mod browser_asks; // acts in pages that people are asked for, and pictures of what was done
mod browser_api; // browsers over the API, a person who is asked to one, files for a page
mod browser_view; // the live view of a browser: tickets, the wheel, passwords that nobody sees
mod browser_trap; // that nothing leaves a browser beside the way out
mod agent_versions; // what became of an agent's files, and the way back to a version
mod agent_upgrade; // what a newer template would make of an agent's files, taken over, declined and taken back
mod agent_profile; // what an agent is said to be, and the lines of its files that follow
mod agent_files; // files of agents that people change by hand: what two write, what is refused
mod needs; // what needs somebody on the first page: put off, dismissed, decided there
mod first_day; // what a demanding first day asks of pages: they say what is so, the same everywhere
mod connections; // provider connections: keys, tests, which model wins
mod sign_in; // accounts at providers: signing in, renewing, losing them, with a scripted maker
mod edges; // slow clients, the local socket, orphans, the log of failed sign-ins
mod repository; // the history of agents' files when it is damaged or gone: who notices, and the repair
mod strange_tools; // what an agent reaches of another workspace: nothing
mod access; // who may do what: every route, by everybody
mod readable; // who may read what: the content of every answer and stream
mod accounts; // accounts that are closed and opened again
mod prices; // what models cost, as people enter it
mod proofs; // what cannot be taken back asks once more who it is
mod lines; // lines between agents: what goes down them and what goes up
mod leaving; // what somebody has to do who leaves, and who takes it over
mod streams; // open streams end with what let them in
mod people; // members, invitations, roles: who may change whom, and what ends when somebody leaves
mod permissions; // what a permission would have let through, imports, identity, the sandbox explained
mod passkeys; // passkeys, with a device in software
mod factors; // codes from an app, recovery codes, who must have a second step
mod damage; // what is damaged or gone: shown to whom it concerns, and nothing is made of it
mod workspaces; // several workspaces: made, kept apart, archived, deleted, moved, broken
mod workspaces_shut; // one of several does not open: what is said of it, and that nothing of it is lost
mod cli; // the commands, with the real program
mod cli_agents; // agents at the terminal
mod ending; // the program is asked to end while agents are at work
mod cli_secrets; // secrets at the terminal
mod gateways; // machines that agents work on: who joins, what the command fetches, what people are told
mod gateway_trouble; // what is wrong with a machine: shown, told once, over
mod replica; // this machine as a host, with the real program: joins, goes on after kills, leaves
mod joining; // the script of `/join` under dash: installed, run again, cut off, given what is hostile
mod hosts; // home's side of the link: who is let in, what a host is sent, what is decided meanwhile
mod lies; // a host that says what is not its own to say: refused, told, harmless
mod captured; // all that a host gets to see and keeps: nothing that is no concern of its agents
mod proxied; // Debian's nginx between home and a host, as the manual configures it
mod secrets_out; // keys that programs use without having them: what goes out for a stand-in
mod secrets_in; // secrets that programs get as variables, and requests that name them
mod cli_sources; // sources at the terminal
mod cli_work; // work at the terminal: tasks and what groups them, activity, search
mod cli_undo; // history and undo at the terminal
mod history; // what became of each record, and undo, as people and programs meet them
mod grouped; // streams, labels, relations and the order by hand, through the API
mod layouts; // tasks as a board, a calendar and a timeline; many at once
mod quick; // what makes pages quick: rows that stay, pages fetched ahead, changes shown at once
mod views; // saved views, and the query in the address
mod twice; // forms that are sent twice
mod late; // forms that two fill in at once, or that come after the sign-in has ended
mod undo; // undo: what nobody may do by it, what goes stale, what races
mod live; // the live stream of pages, the change stream, activity
mod tasks; // tasks, comments, delivered work: the rules
mod overdue; // due dates that pass
mod due_times; // due dates with a time of day
mod templates; // task templates: kept, previewed, made into tasks
mod recurring; // recurring tasks over HTTP, with the clock going on
mod routines; // what begins by itself: at a time, after an event, by hand
mod resting; // routines that wait until somebody has written to the end
mod writing; // title and description in place, what two write at once, checklists
mod work; // the same as people and programs meet it, over HTTP
mod task_page; // what the page of a task and lists of tasks tell and offer
mod task_frame; // what stands around lists of tasks and beside one
mod talks; // comments that are changed, quoted, answered, settled and reacted to
mod discussed; // comments and files on contacts and records, records as work, modules that are off
mod links; // links of tasks: to addresses and to other records
mod delivering; // work that people deliver, remarks and answers, comparisons
mod activity; // what happened, narrowed
mod onboarding; // the steps of a set-up, from the account to the first task
mod onboarding_killed; // a set-up whose program is killed behind each step
mod notifications; // who hears of what, and how it gets to people who do not look
mod finder; // search and the palette: what is found, by whom, and when no more
mod files; // files on tasks: sending, fetching, what is shown
mod seed; // a company that is made up: what `hq demo --seed` leaves behind
mod commands; // in conversations: what is no message; files with messages
mod conformance; // answers against the OpenAPI document
mod resend; // messages in other words, for another answer, before they were read
mod keeping; // conversations that begin anew by themselves, and what goes of old ones
mod sessions; // conversations: named, archived, brought back, begun anew, searched
mod conversations; // several with one agent, shared ones, and what is unread
mod setup; // first boot
mod users; // signing in and out, passwords, tokens, cross-site requests
mod injections; // what hostile texts order a model that always obeys: no effect without a yes
mod incidents; // what went wrong elsewhere, by its tag, and the tests that hold it here
mod hostile; // hostile words and programs: what they try, what stops them
mod runtime; // agents at work, with a scripted model: the whole loop and every way it goes wrong
mod providers; // model providers against a scripted server
mod away; // agents that work on another machine
mod away_files; // their files: seen, changed, kept beside, left behind by nobody
mod away_jobs; // programs that go on there, and what else a run there is given
mod away_keys; // what they have there beside their files: tokens, secrets, files of messages
mod away_secrets; // where the value of a secret is, as each host confirms it
mod backup; // backups and restores
mod store; // the program's own records: their layouts, and what each format of a file has
mod clock; // a clock that jumps, there and back
mod mirror; // what a host has of a workspace: its scope, through cuts and lies
mod nights; // what a store does at night by itself
mod starting; // the page of a start that takes long
mod upgrade; // folders of older formats, opened for ever
mod crash; // kills of the real program, against a ledger kept outside
mod partitions; // home and a host, parted in every way, against ledgers kept outside
mod runs_pages; // runs, chat, the dashboard, the way in with practice
mod api; // the JSON API: bad input, repeats, talk, files, its own description
mod openai_api; // agents as models: answers, streams, sessions, errors
mod openai_tools; // tools of the programs that ask
mod openai_talk; // conversations that programs keep, in every protocol
mod openai_again; // questions that are asked again, with and without a key
mod ops_health; // health: parts, consumers, the store's own work; filters and snapshot of changes
mod usage_days; // the daily roll-up of model calls and the consumer that keeps it
mod usage_report; // what calls came to, by what is asked for, and as files
mod budgets_page; // the page of all budgets
mod ops_audit; // the audit: search, export, verification, redaction, retention
mod widening; // what lets agents do more without asking, by everybody
mod invited; // one invitation, one account
mod openai; // the same, judged by the official clients for Python and Node
