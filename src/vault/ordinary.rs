//! Detection of values that are ordinary text. All stored values are masked in output, so a secret with the value
//! `production` would remove that word from everything that agents write.

use crypto::redact::MIN_CHARS;

/// Numbers of at most this many digits count as ordinary: a date such as 20261128 has as many.
const MAX_NUMBER: usize = 8;

/// Words of at least [`MIN_CHARS`] letters that are common in settings, code and everyday text.
const WORDS: &str = "
abcdefgh abcdefghi abcdefghij absolute accepted accepting access_token accessible accessory according account_id
accounting accounts activate activity actually addition additional addresses administration administrator advanced
advertising affiliate africa-south alphabet although altogether amazonaws american analysis analytics animation
announce anonymous anything anywhere apartment api_key_here application applications appointment appropriate approved
approximately architecture argument arguments arrangement artificial assigned assignment assistance assistant
associated association attachment attention australia authenticate authentication authority authorization automatic
automatically available background balances bandwidth baseball basically beautiful beginning behaviour benefits
birthday bluetooth boundary branches breakfast breaking brilliant broadcast browsers building business calculate
calendar campaign canceled cancelled candidate capacity category celebrate certainly certificate challenge champion
changeit changeme changethis character charlotte chemical children chocolate christmas circumstances citizens
classroom cleaning clothing collection combination combined commands comments commerce commercial commission committee
communication community companies comparison compatible competition complete completed completely complicated computer
concerned conclusion condition conditions conference confidence configuration confirmation congress connected
connection consider considered consistent constant construction consulting consumer contacts container contains
contemporary continue continued contract contribution controller convenient conversation correctly counting countries
creating creation creative credential credentials criminal critical currency currently customer customers customize
database database_url daughter december decision decisions default_value definitely definition delivered delivery
department depending deployment describe description designed detailed determine developed developer development
different difficult dimension direction directly director directory disabled disappear discount discover discovered
discussion displayed distance distribution docker.io document documents domain_name download downloads dragging
duplicate economic education effective efficient electric electronic elements elephant emergency employee employees
encryption engineer engineering enterprise entertainment environment equipment especially essential establish estimate
eu-central european evaluation everybody everyone everything evidence examination example.com example.org examples
excellent exchange exciting exclusive executive exercise existing expected expensive experience experienced experiment
explanation explorer expression extended extension external familiar families fantastic favorite february feedback
festival filename financial finished firewall following football foreground foreign_key forwarding foundation
frameworks frequency frequently friendly function functions furniture gateways generally generated generation
github.com gmail.com google.com governance government graduate graphics greenhouse guarantee guidance guidelines
handling happened hardware headline headquarters healthcare hello_world helloworld highlight historical holidays
homepage hospital hostname household housekeeping identity illustration iloveyou important improved improvement
including incoming increase independent indicate individual industrial industry influence information infrastructure
initially inspection installation instance instances institute instruction instructions insurance integrated
integration intelligence interest interested interesting interface internal international internet interview
introduction inventory investment investor invoices knowledge laboratory landscape language languages leadership
learning letmein1 letmeinnow libraries lifetime limitation listening literature localdomain localhost location
locations logistics machinery magazine maintain maintenance majority management manually manufacturer marketing
material materials measurement mechanical medicine membership memories merchant message_id messages microsoft
middleware migration millions minister mismatch mistakes moderate modified modifier monitoring mortgage motivation
mountain movement multiple national naturally necessary negative neighborhood networks nevertheless newsletter
nonsense northern notebook notification notifications november numerous observation obviously occasion official
operating operation operations operator opinions opportunity optional ordinary organisation organization original
otherwise ourselves outgoing outstanding overview ownership p@ssw0rd packages painting paragraph parameter parameters
participate particular particularly partners partnership passphrase passw0rd password patience payments peaceful
percentage performance permanent permission permissions personal personality perspective photograph physical pipeline
placeholder planning platform playground pleasure politics population portfolio position positive possible possibly
postgres postgresql potential practical practice precious prediction preference preferences presence presentation
president pressure previous previously princess principle priority probably problems procedure processing produced
producer production products profession professional professor profiles programme programming projects promotion
properly properties property proposal protected protection protocol provided provider providers province psychology
public_key publication published publisher purchase purposes qualified quantity quarterly question questions
quickstart qwertyui qwertyuiop railroad readonly realized reasonable received receiver recently reception recognition
recommend recommended recording recovery redirect reference references reflection registered registration regulation
relation relations relationship relative relatively relevant reliable religion remember reminder repeated replaced
replacement repository representative republic reputation request_id requested requests required requirement
requirements research reservation resident resolution resource resources response responses responsibility responsible
restaurant restricted retirement returned reviewers revision robotics rollback romantic root_user sandboxed
satisfaction saturday schedule scheduled scholarship screening screenshot secondary secret_key secretary security
selected selection september sequence serialize services sessions settings shipping shoulder showcase signature
significant simulator situation snapshot software solution solutions somebody something sometimes somewhere southern
specialist specific specifically specified spreadsheet standard standards starting statement statements statistics
stockholm straight strategic strategy strength structure students studying submission subscribe subscriber
subscription successful successfully suddenly sufficient suggestion suggestions sunshine superadmin superman superuser
supervisor supplier supported supporting surprise surrounding switzerland sysadmin systematic telephone template
templates temporary terminal terrible test_user testing1 testpassword testtest themselves thinking thousand threshold
thursday timestamp together tomorrow tracking tradition traditional training transaction transactions transfer
transition translation transport transportation traveling treatment trending troubleshooting trustno1 tutorial
typically ultimate undefined undergraduate understand understanding unfortunately universe university unlimited
unsubscribe upgrades uploading usability user_name username utilities vacation valuable variable variables variation
vegetable vehicles verification verified versions vertical veterans victoria visibility visiting visitors volunteer
warehouse warranty washington waterfall webhooks website_url wednesday welcome1 whatever whenever wherever wikipedia
wireless withdraw wonderful workflow workflows workshop workspace workspaces xxxxxxxx yesterday your-key-here
your-token-here your_key_here your_password your_secret your_token_here yourself yourselves
";

/// Whether a value is ordinary text that is long enough to be masked.
#[must_use]
pub fn is_ordinary(value: &str) -> bool {
    let value = value.trim().to_lowercase();
    if value.chars().count() < MIN_CHARS {
        return false;
    }
    let is_number = value.len() <= MAX_NUMBER && value.bytes().all(|sign| sign.is_ascii_digit());
    let first = value.chars().next();
    let is_one_sign = value.chars().all(|sign| Some(sign) == first);
    let bare = value.strip_prefix("http://").or_else(|| value.strip_prefix("https://"));
    // Also with a number or port after the word.
    let ends = |sign: char| sign.is_ascii_digit() || matches!(sign, ':' | '/' | '!' | '.');
    let bare = bare.unwrap_or(&value).trim_end_matches(ends);
    let is_word = |word: &str| word == value || word == bare;
    let is_here = bare.is_empty() || bare == "localhost";
    is_number || is_one_sign || is_here || WORDS.split_whitespace().any(is_word)
}

#[cfg(test)]
mod tests {
    use super::is_ordinary;

    #[test]
    fn words_and_numbers_are_ordinary_and_keys_are_not() {
        for word in [
            "password",
            "Production",
            "changeme",
            "localhost",
            "http://localhost:8080",
            "127.0.0.1",
            "20261128",
            "1234567890",
            "********",
            "password123",
            " DEVELOPMENT\n",
        ] {
            assert!(is_ordinary(word), "{word}");
        }
        for key in [
            "short",
            "sk_live_abcdef",
            "correct-horse-battery",
            "9f86d081884c7d65",
            "https://a.example/x",
        ] {
            assert!(!is_ordinary(key), "{key}");
        }
    }
}
