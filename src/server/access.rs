//! Authorisation: the single table from roles and token scopes to capabilities.
//!
//! | | owner | admin | member | viewer | a token, if its owner may |
//! |---|---|---|---|---|---|
//! | own account | yes | yes | yes | yes | no |
//! | read | yes | yes | yes | yes | every scope |
//! | tasks, comments and other records | yes | yes | yes | no | `write` |
//! | talk to agents, stop and steer runs | yes | yes | yes | no | `chat` |
//! | review deliverables | yes | yes | yes | no | `review` |
//! | approve or deny agents' requests | yes | yes | yes | no | `approvals` |
//! | create and change agents, budgets of agents and their work | yes | yes | yes | no | `agents` |
//! | act in agents' browsers, with their sign-ins | yes | yes | yes | no | `browser` |
//! | let agents do more without asking (`features::trust::queries::widening`) | yes | yes | no | no | `admin` |
//! | connections, members, the workspace's budgets, settings | yes | yes | no | no | `admin` |
//! | archive and delete the workspace, owners, requirement of a second factor | yes | no | no | no | no |
//!
//! An agent's tools read, write and talk like a member. The rules of the tools define what an agent may do with
//! agents and routines beyond that (its own, its reports).

use interfaces_account::users::session::Rights;
use kernel::{Can, Role, Scope};
use web::session::Access;

/// The table in the form that the sign-in middleware takes.
pub const RIGHTS: Rights = Rights { role, scope };

/// Capabilities of a member with this role.
#[must_use]
pub fn role(role: Role) -> Access {
    Access::of(match role {
        Role::Owner => &[
            Can::Account,
            Can::Read,
            Can::Write,
            Can::Chat,
            Can::Review,
            Can::Approve,
            Can::Agents,
            Can::Browser,
            Can::Admin,
            Can::Own,
        ],
        Role::Admin => &[
            Can::Account,
            Can::Read,
            Can::Write,
            Can::Chat,
            Can::Review,
            Can::Approve,
            Can::Agents,
            Can::Browser,
            Can::Admin,
        ],
        Role::Member => &[
            Can::Account,
            Can::Read,
            Can::Write,
            Can::Chat,
            Can::Review,
            Can::Approve,
            Can::Agents,
            Can::Browser,
        ],
        Role::Viewer => &[Can::Account, Can::Read],
    })
}

/// Capabilities of a token with this scope, limited by those of its owner. No scope gives access to the owner's
/// account, so a token cannot create another token.
#[must_use]
pub fn scope(scope: Scope) -> Access {
    Access::of(match scope {
        Scope::Read => &[Can::Read],
        Scope::Write => &[Can::Read, Can::Write],
        Scope::Chat => &[Can::Read, Can::Chat],
        Scope::Review => &[Can::Read, Can::Review],
        Scope::Approvals => &[Can::Read, Can::Approve],
        Scope::Agents => &[Can::Read, Can::Agents],
        Scope::Browser => &[Can::Read, Can::Browser],
        Scope::Admin => &[Can::Read, Can::Admin],
    })
}

/// Capabilities of an agent's tools. Reviewing deliverables, managing agents and administration are reserved for
/// people.
#[must_use]
pub fn agent() -> Access {
    Access::of(&[Can::Read, Can::Write, Can::Chat])
}

#[cfg(test)]
mod tests {
    use super::{agent, role, scope};
    use kernel::{Can, Role, Scope};

    #[test]
    fn an_agent_may_less_than_a_member() {
        assert!(role(Role::Member).covers(agent()));
        for can in [
            Can::Review,
            Can::Approve,
            Can::Agents,
            Can::Browser,
            Can::Admin,
            Can::Own,
            Can::Account,
            Can::Local,
        ] {
            assert!(!agent().may(can), "{can}");
        }
    }

    #[test]
    fn a_viewer_only_looks_and_no_token_reaches_the_account() {
        for can in [
            Can::Write,
            Can::Chat,
            Can::Review,
            Can::Approve,
            Can::Agents,
            Can::Browser,
            Can::Admin,
            Can::Local,
        ] {
            assert!(!role(Role::Viewer).may(can), "{can}");
        }
        for one in Scope::ALL {
            assert!(!scope(*one).may(Can::Account) && !scope(*one).may(Can::Local), "{one}");
            assert!(!scope(*one).may(Can::Own), "{one}");
            assert!(role(Role::Owner).covers(scope(*one)), "an owner may give {one}");
        }
    }
}
