//! MCP servers: field table and operations.

use entity::{Area, Entity, Field, Fields, InputKind, Stored, Values, text_of};
use kernel::{Can, Error, Timestamp};
use kit::{Answers, Extra, ExtraOf, Noun, Op, OpCx, Reply, Row, Run, Section};
use serde_json::{Value, json};
use store::{Read, ReadExt as _, StoreError, WriteTx};
use tool::Effect;

use super::{OP, code, described, message_schema, page, slugs, text};
use crate::model::{McpServer, McpServerId, McpState, McpTool, Mode, STATES, ToolState};
use crate::oauth::{self, McpGrant, McpRevocation, SignInState};
use crate::{config, newest, ops, queries, rules};

pub static SERVER: Entity = Entity {
    area: Area::Agents,
    read: Can::Admin,
    tables: |schema| {
        let schema = schema.with::<McpServer>().with::<McpState>();
        schema.with::<McpGrant>().with::<McpRevocation>()
    },
    fields: &[
        Field::line("name", "name")
            .required()
            .max(32)
            .once()
            .called("title")
            .about("small letters, digits and hyphens; names of its tools begin with it"),
        Field::entered("url", "address", InputKind::Url)
            .max(2_000)
            .about("of a server in the network; leave it empty for a command"),
        Field::lines("headers", "headers")
            .hidden()
            .about("one per line as Name: value; {{secret:KEY}} inserts a secret"),
        Field::lines("command", "command")
            .hidden()
            .about(
                "program and arguments, one per line; it runs in the sandbox. A package of npx or uvx without a \
                 version gets the newest one",
            ),
        Field::lines("env", "variables")
            .hidden()
            .about("one per line as KEY=value; {{secret:KEY}} inserts a secret"),
        Field::lines("read", "folders to read").hidden().about("folders of this machine"),
        Field::lines("write", "folders to change").hidden().about("folders of this machine"),
        Field::lines("hosts", "hosts").hidden().about("that the command may reach; none if empty"),
        Field::lines("open_hosts", "private hosts")
            .hidden()
            .about("in your own network, such as 10.0.0.5:8080, opened to this server alone"),
        Field::lines("agents", "agents").hidden().about("that have its tools; all if empty"),
        Field::flag("is_enabled", "enabled").usual("on"),
        Field::text("fingerprint", "configuration hash").hidden(),
        Field::text("approved", "approved configuration").hidden(),
        Field::text("approved_by", "approved by").hidden().internal(),
        Field::stamp("approved_at", "approved").optional(),
        Field::text("catalogue", "tool list").hidden().internal(),
        Field::text("by", "by").hidden().internal(),
        Field::stamp("created_at", "created"),
        Field::stamp("updated_at", "changed"),
    ],
    path: |_| "settings/mcp-servers".to_owned(),
    // Approvals are not given back by an undo.
    undo: None,
    triggers: Some("MCP servers"),
    missing: "mcp_server_not_found",
    ..Entity::stored::<McpServer>("mcp-server", "MCP server", "MCP servers")
};

pub static SERVERS: Noun = Noun {
    write: Can::Admin,
    param: "server",
    command: "mcp",
    trailing: "command",
    proof: Some(needs_proof),
    complete: Some(newest::complete),
    extra: Some(Extra { schema: state_schema, prepare: states, in_lists: false }),
    ops: &[
        Op {
            name: "test",
            effect: Effect::External,
            about: "Connect to the server and read its list of tools",
            verb: "Test and read tools",
            answers: Answers::Json(message_schema),
            run: Run::Prepared(ops::probe, ops::reply),
            ..OP
        },
        Op {
            name: "sign-in",
            effect: Effect::External,
            about: "Begin a sign-in, which a person finishes in a browser within ten minutes",
            verb: "Sign in",
            answers: Answers::Link(oauth::ops::link_schema),
            offered: |server| server.get("may_sign_in") == Some(&Value::Bool(true)),
            run: Run::Prepared(oauth::ops::sign_in, oauth::ops::signing_in),
            ..OP
        },
        Op {
            name: "sign-out",
            effect: Effect::External,
            about: "Withdraw the sign-in at its authorization server and delete its tokens",
            verb: "Sign out",
            confirm: "Agents can’t call its tools until someone signs in again.",
            answers: Answers::Json(message_schema),
            // After a lost sign-in, it takes back the request to sign in again.
            offered: |server| {
                let is = |key: &str| server.get(key) == Some(&Value::Bool(true));
                is("is_signed_in") || text_of(server, "state") == "sign_in_again"
            },
            run: Run::Prepared(oauth::ops::sign_out, oauth::ops::signed_out),
            ..OP
        },
        Op {
            name: "client",
            about: "Enter the OAuth client that you registered for HQ; without an id it is removed",
            verb: "Client for the sign-in",
            done: "Saved the client for",
            input: &[
                Field::line("client_id", "client id").max(2_000),
                Field::entered("client_secret", "client secret", InputKind::Secret)
                    .about("empty if it has none"),
            ],
            offered: |server| !text_of(server, "url").is_empty(),
            run: Run::Prepared(oauth::ops::seal_client, oauth::ops::set_client),
            ..OP
        },
        Op {
            name: "approve",
            about: "Approve the server’s configuration, and tools that agents may call",
            verb: "Approve",
            done: "Approved",
            input: &[
                Field::lines("reads", "tools that only read")
                    .about("the server’s names, one per line"),
                Field::lines("acts", "tools that act").about("the server’s names, one per line"),
                Field::flag("all", "all other new tools as acting")
                    .about("name those that have changed, after you have seen the changes"),
            ],
            offered: |server| server.get("tools").and_then(Value::as_u64).is_some_and(|n| 0 < n),
            run: Run::Write(approve),
            ..OP
        },
        Op {
            name: "withdraw",
            about: "Withdraw the approval, so that no agent can call its tools",
            verb: "Withdraw approval",
            done: "Withdrew the approval of",
            confirm: "Agents can’t call its tools until someone approves it again.",
            offered: |server| !text_of(server, "approved").is_empty(),
            run: Run::Write(|cx, tx| {
                rules::withdraw(tx, cx.id()?)?;
                Ok(Reply::Record(cx.key()?.to_vec()))
            }),
            ..OP
        },
        Op {
            name: "log",
            effect: Effect::Read,
            about: "Show its connection, last call, speed and what the program printed",
            verb: "Show log",
            answers: Answers::Json(message_schema),
            run: Run::Prepared(ops::log, ops::reply),
            ..OP
        },
        Op {
            name: "call",
            effect: Effect::External,
            about: "Call an approved tool",
            verb: "Call tool",
            input: &[
                Field::line("tool", "tool").required().max(200).about("the server’s name for it"),
                Field::long("arguments", "arguments").about("JSON"),
            ],
            answers: Answers::Json(message_schema),
            run: Run::Prepared(ops::call, ops::reply),
            ..OP
        },
    ],
    page: page(
        server_row,
        || vec![STATES.name, crate::model::TOOLS.name, oauth::GRANTS.name],
        "Agents lose its tools, and its approvals are deleted.",
        detail,
    ),
    ..Noun::of(&SERVER, "mcp-servers", "Tools of MCP servers, for your agents")
};

/// Commands, folders, hosts, secrets and approvals need a person at a browser or on this machine.
fn needs_proof(act: &str, values: Option<&Values>) -> bool {
    let is_given = |values: &Values, key: &str| {
        values.get(key).and_then(Value::as_array).is_some_and(|lines| !lines.is_empty())
    };
    let fields = ["command", "env", "read", "write", "hosts", "open_hosts"];
    match (act, values) {
        ("approve" | "client", _) | ("create" | "change", None) => true,
        ("create" | "change", Some(values)) => {
            let headers = values.get("headers").and_then(Value::as_array);
            let has_secret = |line: &Value| line.as_str().is_some_and(|line| line.contains("{{"));
            fields.iter().any(|key| is_given(values, key))
                || headers.is_some_and(|lines| lines.iter().any(has_secret))
        }
        _ => false,
    }
}

impl Stored for McpServer {
    fn blank(tx: &mut WriteTx<'_>) -> Self {
        let now = tx.now();
        Self {
            id: tx.new_id(),
            name: String::new(),
            url: String::new(),
            headers: Vec::new(),
            command: Vec::new(),
            env: Vec::new(),
            read: Vec::new(),
            write: Vec::new(),
            hosts: Vec::new(),
            open_hosts: Vec::new(),
            agents: Vec::new(),
            is_enabled: true,
            fingerprint: String::new(),
            approved: String::new(),
            approved_by: None,
            approved_at: None,
            catalogue: String::new(),
            by: tx.by(),
            created_at: now,
            updated_at: now,
        }
    }

    fn check(
        tx: &mut WriteTx<'_>,
        old: Option<&Self>,
        new: &mut Self,
        given: &Values,
    ) -> Result<(), Error> {
        config::check(new)?;
        if given.contains_key("agents") {
            new.agents = slugs(tx, &new.agents)?;
        }
        let same = queries::server_called(tx, &new.name)?;
        if same.is_some_and(|other| other.id != new.id) {
            return Err(Error::field("name", "Another server has this name."));
        }
        // A secret must not follow the address to another server unnoticed.
        let is_moved = old.is_some_and(|old| old.url != new.url);
        let has_secrets = !config::secrets_of(new).is_empty();
        if is_moved && has_secrets && !given.contains_key("headers") {
            return Err(Error::field("headers", "Enter the headers again for the new address."));
        }
        if let Some(old) = old.filter(|_| is_moved) {
            oauth::rules::moving(tx, old)?;
        }
        Ok(())
    }

    fn stamp(&mut self, now: Timestamp) {
        self.updated_at = now;
    }

    fn removing(tx: &mut WriteTx<'_>, gone: &Self) -> Result<(), Error> {
        oauth::rules::forget(tx, gone)
    }
}

fn approve(cx: &OpCx<'_>, tx: &mut WriteTx<'_>) -> Result<Reply, Error> {
    let id: McpServerId = cx.id()?;
    let lines = |key: &str| -> Vec<String> {
        let lines = cx.input.get(key).and_then(Value::as_array).into_iter().flatten();
        lines.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (reads, acts) = (lines("reads"), lines("acts"));
    rules::approve_server(tx, id)?;
    for (field, names, mode) in [("reads", &reads, Mode::Reads), ("acts", &acts, Mode::Acts)] {
        for name in names {
            let tool = queries::tool_meant(tx, id, (field, name))?;
            rules::approve_tool(tx, &tool, mode)?;
        }
    }
    if cx.flag("all") {
        let server = tx.get::<McpServer>(id)?.ok_or_else(|| SERVER.not_found(&id.to_string()))?;
        let mut tools = queries::tools(tx, id)?;
        // What a changed tool does now has to be seen before it is approved.
        tools.retain(|tool| tool.state(&server) == ToolState::New);
        for tool in &tools {
            rules::approve_tool(tx, tool, Mode::Acts)?;
        }
    }
    Ok(Reply::Record(cx.key()?.to_vec()))
}

kernel::words! {
    /// Whether agents can use a server.
    ServerState {
        Ready = "ready", "Ready";
        Off = "off", "Off";
        Unapproved = "unapproved", "Needs approval";
        Failing = "failing", "Not reachable";
        SignIn = "sign_in", "Sign in";
        SignInAgain = "sign_in_again", "Sign in again";
        Crashed = "crashed", "Off after crashes";
    }
}

fn state_schema() -> Fields {
    let text = json!({ "type": "string" });
    let count = json!({ "type": "integer" });
    Fields::from_iter([
        ("state".to_owned(), json!({ "type": "string", "enum": ServerState::WORDS })),
        ("detail".to_owned(), text.clone()),
        ("era".to_owned(), text),
        ("is_signed_in".to_owned(), json!({ "type": "boolean" })),
        ("may_sign_in".to_owned(), json!({ "type": "boolean" })),
        ("tools".to_owned(), count.clone()),
        ("tools_approved".to_owned(), count.clone()),
        ("tools_waiting".to_owned(), count),
    ])
}

fn states(read: &dyn Read) -> Result<ExtraOf<'_>, StoreError> {
    Ok(Box::new(move |record| {
        let found = match text_of(record, "id").parse::<McpServerId>() {
            Ok(id) => read.get::<McpServer>(id)?,
            Err(_) => None,
        };
        let Some(server) = found else { return Ok(Fields::new()) };
        let state = queries::state(read, server.id)?;
        let tools = queries::tools(read, server.id)?;
        let count =
            |fits: &dyn Fn(&McpTool) -> bool| tools.iter().filter(|tool| fits(tool)).count();
        let waiting =
            count(&|tool| matches!(tool.state(&server), ToolState::New | ToolState::Changed));
        let grant = oauth::queries::grant(read, server.id)?;
        let sign_in = grant.state_at(&server.url);
        let is_signed_in = grant.credentials.is_some() && grant.url == server.url;
        let is_failing = !state.is_ok && state.checked_at.is_some();
        let word = if !server.is_enabled {
            ServerState::Off
        } else if state.has_crashed {
            ServerState::Crashed
        } else if sign_in == SignInState::Needed {
            ServerState::SignIn
        } else if sign_in == SignInState::Again {
            ServerState::SignInAgain
        } else if !server.is_approved() {
            ServerState::Unapproved
        } else if is_failing {
            ServerState::Failing
        } else {
            ServerState::Ready
        };
        Ok(Fields::from_iter([
            ("state".to_owned(), json!(word.word())),
            ("detail".to_owned(), json!(state.detail)),
            ("era".to_owned(), json!(state.era)),
            ("is_signed_in".to_owned(), json!(is_signed_in)),
            ("may_sign_in".to_owned(), json!(grant.may_sign_in(&server.url))),
            ("tools".to_owned(), json!(tools.len())),
            ("tools_approved".to_owned(), json!(count(&|tool| tool.approved().is_some()))),
            ("tools_waiting".to_owned(), json!(waiting)),
        ]))
    }))
}

fn server_row(record: &Fields) -> Row {
    let word = text_of(record, "state");
    let at = ServerState::WORDS.iter().position(|known| *known == word);
    let state = at.map(|at| {
        let tone = match ServerState::ALL[at] {
            ServerState::Ready => "ok",
            ServerState::Off => "",
            ServerState::Unapproved | ServerState::SignIn => "warn",
            ServerState::SignInAgain | ServerState::Failing | ServerState::Crashed => "bad",
        };
        (ServerState::LABELS[at], tone)
    });
    let command = record.get("command").and_then(Value::as_array).into_iter().flatten();
    let command: Vec<&str> = command.filter_map(Value::as_str).collect();
    let place = match text_of(record, "url") {
        "" => command.join(" "),
        url => url.to_owned(),
    };
    let about = match text_of(record, "detail") {
        "" => place,
        detail => format!("{} · {detail}", kernel::text::ellipsis(&place, 80)),
    };
    let number = |key: &str| record.get(key).and_then(Value::as_u64).unwrap_or_default();
    let link = "settings/mcp-tools".to_owned();
    let (all, waiting) = (number("tools"), number("tools_waiting"));
    let mut marks = vec![(format!("{} of {all} tools", number("tools_approved")), link.clone())];
    if 0 < waiting {
        marks.push((format!("{waiting} to review"), link));
    }
    Row { name: text_of(record, "name").to_owned(), about, state, marks, ..Row::default() }
}

fn detail(_: &app::Ws, read: &dyn Read, record: &Fields) -> Result<Vec<Section>, StoreError> {
    let found = match text_of(record, "id").parse::<McpServerId>() {
        Ok(id) => read.get::<McpServer>(id)?,
        Err(_) => None,
    };
    let Some(server) = found else { return Ok(Vec::new()) };
    let tools = queries::tools(read, server.id)?;
    let mut sections = vec![code("Configuration", config::describe(&server))];
    let secrets = config::secrets_of(&server);
    if !secrets.is_empty() {
        sections.push(text("Secrets it gets", secrets.join(", ")));
    }
    sections.extend(signed_in(read, &server)?);
    if tools.is_empty() {
        sections.push(text("Tools", "Not read yet. Use Test and read tools."));
    }
    for tool in &tools {
        let state = tool.state(&server).label();
        let about = match tool.unusable.as_str() {
            "" => described(tool),
            why => format!("{why} {}", described(tool)),
        };
        let name = crate::names::visible(&tool.tool);
        sections.push(text(&format!("{name} · {state}"), about));
    }
    Ok(sections)
}

/// The section about the sign-in; `None` for servers without one.
fn signed_in(read: &dyn Read, server: &McpServer) -> Result<Option<Section>, StoreError> {
    let grant = oauth::queries::grant(read, server.id)?;
    let (issuer, scopes) = (&grant.issuer, grant.scopes.replace(' ', ", "));
    let rights = match scopes.as_str() {
        "" => String::new(),
        scopes => format!(" Rights: {scopes}."),
    };
    let about = match grant.state_at(&server.url) {
        SignInState::Out => return Ok(None),
        SignInState::Needed => format!("The server needs a sign-in.{rights}"),
        SignInState::In => format!("Signed in at {issuer}.{rights}"),
        SignInState::Again => format!("{}{rights}", grant.detail),
    };
    Ok(Some(text("Sign-in", crate::names::visible(&about))))
}
