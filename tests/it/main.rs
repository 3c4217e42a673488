//! The single integration test program.

mod states; // names of states, and numbers that are shown twice
mod wording; // phrases that no text may contain
mod architecture; // layering of modules, and confined crates
mod approvals; // trust modes, and calls that wait for an approval
mod arrivals; // workspaces and people from another HQ
mod sandbox; // hostile programs in the jail, and how they are ended
mod rules; // rules on a store without a server: invariants
mod agent_asks; // what survives a pause, what no tool reaches, harmful names, git executable
mod ops; // every noun of the kit: rights, fields, revisions, idempotency, undo, equal results everywhere
mod agents; // agents: creation, files, present activity
mod inbox; // inbox items of agents: order, quiet hours, limits, no duplicate starts
mod browser; // browsers of agents: switch, snapshots, actions, blocked sites, what people see
mod browser_asks; // page actions that need an approval, and their screenshots
mod browser_api; // browsers over the API, requests for a person's help, file uploads to pages
mod browser_view; // live view of a browser: tickets, control, capture pause for passwords
mod browser_trap; // no traffic of a browser bypasses the proxy
mod agent_versions; // history of an agent's files, and restoring a version
mod agent_upgrade; // agent upgrades from newer templates: preview, accept, decline, undo
mod agent_profile; // profile of an agent, and the file lines that follow it
mod agent_files; // manual changes of agents' files: concurrent edits, rejections
mod needs; // attention list of the dashboard: snooze, dismiss, decide
mod first_day; // consistency of pages in a busy workspace
mod connections; // provider connections: keys, tests, choice of the model
mod sign_in; // provider accounts: sign-in, refresh, loss, with a scripted provider
mod edges; // slow clients, local socket, orphans, log of failed sign-ins
mod raw; // store files as another program would open them
mod repository; // damaged or missing git repository of agents: detection and repair
mod strange_tools; // agent tools reach nothing of another workspace
mod tool_layer; // tools of connected servers: search, approval, change, withdrawal
mod access; // access rights of every route for every kind of user
mod readable; // read rights: content of every response and stream
mod accounts; // disabling and enabling accounts
mod prices; // manually entered model prices
mod proofs; // irreversible actions need a fresh proof of identity
mod lines; // reporting lines between agents: messages down and up
mod leaving; // reassignment of a leaving member's work
mod streams; // open streams end when their access ends
mod people; // members, invitations, roles: who may change whom, and effects of leaving
mod permissions; // permission previews, imports, agent identity, sandbox report
mod passkeys; // passkeys with a software authenticator
mod factors; // authenticator codes, recovery codes, required second factors
mod damage; // damaged and missing data: reports, and no follow-up damage
mod workspaces; // several workspaces: create, isolate, archive, delete, move, broken ones
mod workspaces_shut; // one of several workspaces fails to open: messages, and no loss
mod cli; // commands of the real program
mod cli_agents; // agent commands
mod ending; // stopping the program while agents work
mod cli_secrets; // secret commands
mod channels; // messengers: connecting, pairing, receiving once, answering, rooms, commands
mod channel_limits; // limits of strangers and guests, and settings before text
mod channel_notices; // notifications on a messenger, and what agents send themselves
mod channels_webhook; // bridges: signatures, receiving once, safe repeats, decisions
mod channel_properties; // which route wins, and what the rights of a sender allow
mod channel_foreign; // foreign programs: another Telegram server, Matrix, webhook libraries
mod gateways; // gateways: joining, downloads of the join command, notices
mod gateway_trouble; // problems of a gateway: shown, reported once, settled
mod replica; // the real program as a host: join, restart after kills, leave
mod joining; // the `/join` script under dash: install, repeat, interruption, hostile input
mod hosts; // primary's side of the link: admission, replication, approvals
mod lies; // protocol violations of a host: rejected, reported, harmless
mod captured; // data that a host receives and stores: nothing unrelated to its agents
mod proxied; // Debian's nginx between primary and host, configured as in the manual
mod secrets_out; // credential proxy: requests with placeholder tokens
mod secrets_in; // secrets as variables of programs, and requests that name them
mod cli_sources; // source commands
mod cli_work; // work commands: tasks and their groups, activity, search
mod cli_undo; // history and undo commands
mod history; // history and undo in pages and API
mod grouped; // streams, labels, relations and manual order, through the API
mod layouts; // task board, calendar and timeline; bulk changes
mod quick; // fast pages: kept rows, prefetching, immediate updates
mod skills; // skill packages: quarantine, approval, updates, precedence, programs, commands
mod web_search; // search engines, web_search and reading pages
mod views; // saved views, and queries in addresses
mod twice; // forms that are submitted twice
mod late; // concurrent form edits, and forms submitted after the session's end
mod undo; // undo: rights, staleness, races
mod live; // live region stream, change stream, activity
mod tasks; // rules of tasks, comments and deliverables
mod overdue; // overdue tasks
mod due_times; // due dates with a time of day
mod templates; // task templates: create, preview, apply
mod recurring; // recurring tasks over HTTP, with an advancing clock
mod routines; // routines: schedules, events, manual starts
mod resting; // routines that wait until a person has stopped writing
mod writing; // in-place editing of title and description, concurrent edits, checklists
mod work; // tasks over HTTP, for pages and API
mod composer; // the form for a new task
mod task_page; // content of the task page and of task lists
mod task_frame; // sidebars of task lists and task pages
mod talks; // comments: edit, quote, reply, resolve, react
mod discussed; // comments and files on contacts and records, records as work, disabled modules
mod links; // links of tasks to addresses and records
mod proof; // evidence for finished work
mod delivering; // deliverables of people, remarks and replies, comparisons
mod activity; // activity filters
mod appearance; // a person's appearance, and the brand colour of a workspace
mod onboarding; // guided set-up, from the account to the first task
mod onboarding_killed; // guided set-up with a kill after each step
mod notifications; // notifications: recipients and delivery
mod finder; // search and palette: results, rights, removal
mod files; // files of tasks: upload, download, preview
mod seed; // demo company of `hq demo --seed`
mod commands; // slash commands in conversations; files with messages
mod conformance; // responses against the OpenAPI document
mod resend; // edited messages, repeated responses, withdrawn messages
mod keeping; // automatic restart of conversations, and retention of old ones
mod sessions; // conversations: name, archive, restore, restart, search
mod conversations; // several conversations with one agent, shared ones, unread state
mod setup; // first boot
mod installed; // installed app: manifest, icons, service worker, shared texts
mod settings_pages; // settings: menu, search, swatches
mod users; // sign-in and sign-out, passwords, tokens, cross-site requests
mod injections; // prompt injections with an obedient model: no effect without an approval
mod incidents; // incidents of similar programs, each with the tests that prevent it here
mod hostile; // hostile texts and programs
mod runtime; // agents at work with a scripted model: the loop and its failures
mod providers; // model providers against a scripted server
mod away; // agents on another machine
mod away_files; // their files: view, edit, conflicts, move
mod away_jobs; // their background programs, and other services of their runs
mod away_keys; // their credentials: tokens, secrets, files of messages
mod away_secrets; // per-machine state of secrets, as confirmed by hosts
mod backup; // backups and restores
mod store; // layouts of the program's records, and file formats
mod clock; // clock jumps in both directions
mod skill_sources; // sources of skill packages: sites, indexes, repositories in the jail
mod mcp; // MCP servers: quarantine, approvals, changed tools, calls, rights
mod mcp_oauth; // sign-in to MCP servers: discovery, clients, tokens, refusals, ends, waiting calls
mod mirror; // replicated scope of a host, under interruptions and violations
mod nights; // nightly store maintenance
mod starting; // progress page of a long start
mod upgrade; // opening data folders of older formats
mod crash; // kills of the real program, checked against an external ledger
mod channel_crash; // the same while people write on messengers: no message lost or doubled
mod partitions; // network partitions between primary and host, checked against external ledgers
mod runs_pages; // pages of runs, chat, dashboard, practice run
mod api; // JSON API: bad input, idempotency, chat, files, OpenAPI
mod mcp_server; // HQ as an MCP server: both eras, rights, errors; tools over plain JSON
mod openai_api; // OpenAI-compatible API: responses, streams, sessions, errors
mod openai_tools; // tools of API clients
mod openai_talk; // stored conversations of API clients, in every protocol
mod openai_again; // repeated requests, with and without an idempotency key
mod ops_health; // health: parts, consumers, store maintenance; filters and snapshot of changes
mod usage_days; // daily roll-up of model calls, and its consumer
mod usage_report; // usage reports: groups and exports
mod budgets_page; // page of all budgets
mod ops_audit; // audit: search, export, verification, redaction, retention
mod widening; // changes that let agents do more without an approval, by role
mod invited; // one invitation, one account
mod openai; // OpenAI compatibility with the official clients for Python and Node
