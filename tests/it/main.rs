//! The one integration test program.

mod support;

mod architecture; // the direction of the layers, and what is confined where
mod git; // agents' files: snapshots, history, what must not get in or out
mod sandbox; // what a hostile program can do in the jail, and how it is ended
mod agents; // agents: set-up, files, what each does now
mod connections; // provider connections: keys, tests, which model wins
mod edges; // slow clients, the local socket, orphans, the log of failed sign-ins
mod access; // who may do what: every route, by everybody
mod people; // members, invitations, roles: who may change whom, and what ends when somebody leaves
mod workspaces; // several workspaces: made, kept apart, archived, deleted, moved, broken
mod cli; // the commands, with the real program
mod live; // the live stream of pages, the change stream, activity
mod tasks; // tasks, comments, delivered work: the rules
mod work; // the same as people and programs meet it, over HTTP
mod setup; // first boot
mod users; // signing in and out, passwords, tokens, cross-site requests
mod runtime; // agents at work, with a scripted model: the whole loop and every way it goes wrong
mod providers; // model providers against a scripted server
mod backup; // backups and restores
mod store; // records, feed, consumers, faults: the store on a real file
mod crash; // kills of the real program, against a ledger kept outside
mod runs_pages; // runs, chat, the dashboard, the way in with practice
mod api; // the JSON API: bad input, repeats, talk, files, its own description
mod openai_api; // agents as models: answers, streams, sessions, errors
mod openai; // the same, judged by the official Python client
