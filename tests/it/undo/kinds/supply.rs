//! Actions on connections, models, budgets and prices.

use features::agents::model::{Agent, ReachOf};
use features::browsers::model::BrowserPolicy;
use features::browsers::rules::{self as browsers, Switch};
use features::connections::model::{Connection, Named, Wire};
use features::connections::rules::{self as connections, turns};
use features::routines::model::Routine;
use features::runs::model::RunLimits;
use features::runs::rules::run_limits;
use features::streams::model::Stream;
use features::tasks::model::Task;
use features::trust::model::{Permission, What};
use features::trust::rules as trust;
use features::usage::rules::{budgets, prices};
use kernel::time::from_ms;
use kernel::{AccessDecision, Payer, Period, Thinking, TrustMode};
use store::WriteTx;

use super::desk::{Acted, Pick, by_rule, one};

pub fn connection(tx: &mut WriteTx<'_>, [_, _, c]: Pick) -> Acted {
    connect(tx, format!("Server {c}"))
}

/// Creates a connection with this name.
pub fn connect(tx: &mut WriteTx<'_>, name: String) -> Acted {
    let new = connections::NewConnection {
        name,
        wire: Wire::OpenaiChat,
        base_url: "https://models.example/v1".to_owned(),
        key: None,
        default_model: Some("one".to_owned()),
    };
    by_rule(connections::create(tx, new))
}

pub fn change_connection(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    let id = one::<Connection>(tx, a)?.id;
    if b % 3 == 0 {
        return by_rule(connections::set_default(tx, Some(id), &format!("model-{}", c % 3)));
    }
    let mut changes = connections::Changes::default();
    match b % 3 {
        1 => changes.name = Some(format!("Server {}", c % 4)),
        _ => changes.price = Some((c % 2 == 0).then_some((i64::from(c), 7))),
    }
    by_rule(connections::update(tx, id, None, changes))
}

pub fn drop_connection(tx: &mut WriteTx<'_>, [a, ..]: Pick) -> Acted {
    let id = one::<Connection>(tx, a)?.id;
    by_rule(connections::removal::delete(tx, id, None))
}

pub fn fallbacks(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    let agent = if a % 2 == 0 { Some(one::<Agent>(tx, a / 2)?.id) } else { None };
    let connection = Some(one::<Connection>(tx, b)?.id);
    let models = match c % 4 {
        0 => Vec::new(),
        n => vec![Named { connection, model: format!("model-{n}") }],
    };
    by_rule(turns::set_fallbacks(tx, agent, models))
}

pub fn usual_thinking(tx: &mut WriteTx<'_>, [a, ..]: Pick) -> Acted {
    let all = [Thinking::Low, Thinking::Medium, Thinking::High];
    by_rule(turns::set_thinking(tx, all[usize::from(a) % all.len()]))
}

pub fn window(tx: &mut WriteTx<'_>, [a, _, c]: Pick) -> Acted {
    let id = one::<Connection>(tx, a)?.id;
    let tokens = (c % 3 != 0).then(|| 16_384 + u32::from(c % 4));
    by_rule(turns::set_window(tx, id, tokens))
}

pub fn budget(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    let payer = match a % 5 {
        0 => Payer::Workspace,
        1 => Payer::Agent(one::<Agent>(tx, a / 5)?.id),
        2 => Payer::Stream(one::<Stream>(tx, a / 5)?.id),
        3 => Payer::Routine(one::<Routine>(tx, a / 5)?.id),
        _ => Payer::Task(one::<Task>(tx, a / 5)?.id),
    };
    let periods = [Period::Day, Period::Month, Period::Total];
    let wish = budgets::BudgetRequest {
        payer,
        period: periods[usize::from(b) % periods.len()],
        limit_micros: (c % 3 != 0).then(|| 1_000_000 * i64::from(c % 4 + 1)),
        limit_tokens: None,
        soft_pct: 50 + c % 2,
        hard: c % 2 == 0,
    };
    by_rule(budgets::set(tx, wish))
}

pub fn browser(tx: &mut WriteTx<'_>, [a, b, _]: Pick) -> Acted {
    let agent = one::<Agent>(tx, a)?.id;
    let to = if b % 2 == 0 { Switch::On } else { Switch::Off };
    by_rule(browsers::set(tx, agent, to))
}

pub fn browser_policy(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    let agent = one::<Agent>(tx, a)?.id;
    let allowed = vec![format!("h{}.example", c % 3)];
    let new = BrowserPolicy { scripts: b % 2 == 0, allowed, ..BrowserPolicy::usual(agent) };
    by_rule(browsers::set_policy(tx, new))
}

pub fn trust_mode(tx: &mut WriteTx<'_>, [a, b, _]: Pick) -> Acted {
    let agent = one::<Agent>(tx, a)?.id;
    let mode = TrustMode::ALL[usize::from(b) % TrustMode::ALL.len()];
    by_rule(trust::set_mode(tx, agent, mode))
}

pub fn permission(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    if c % 4 == 0 {
        let id = one::<Permission>(tx, a)?.id;
        return by_rule(trust::revoke(tx, id));
    }
    let agent = if b % 2 == 0 { Some(one::<Agent>(tx, a)?.id) } else { None };
    let new = trust::NewPermission {
        agent,
        run: None,
        tool: ["exec", "browser", "write"][usize::from(b) % 3].to_owned(),
        what: What::All,
        leave: AccessDecision::ALL[usize::from(c) % AccessDecision::ALL.len()],
        note: String::new(),
        expires_at: None,
    };
    by_rule(trust::permit(tx, new).map(drop))
}

pub fn run_limits(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    let of = match a % 3 {
        0 => ReachOf::Workspace,
        _ => ReachOf::Agent(one::<Agent>(tx, a / 3)?.id),
    };
    let number = |n: u8| (!n.is_multiple_of(3)).then(|| 10 + u32::from(n % 4));
    by_rule(run_limits::set(tx, RunLimits::of_values(of, [number(b), number(c), None])))
}

pub fn price(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    let connection = if a % 2 == 0 { Some(one::<Connection>(tx, a / 2)?.id) } else { None };
    let model = format!("model-{}", b % 3);
    if c % 4 == 0 {
        return by_rule(prices::remove(tx, &model, connection, None));
    }
    let amount = Some(1_000_000 * u64::from(c));
    let new = prices::NewPrice {
        model,
        connection,
        begins_at: Some(from_ms(1_700_000_000_000 + i64::from(b % 2))),
        amounts: [amount, None, None, amount],
    };
    by_rule(prices::set(tx, new))
}
