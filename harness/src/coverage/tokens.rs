//! The tokens of a Lua text, as far as names need them.

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A name or keyword.
    Name(String),
    /// A string in any notation, without its quotes if it has simple ones; or a
    /// number.
    Text(String),
    /// Any other character.
    Symbol(char),
}

/// Tokens with the line each begins in; comments are left out. Text that is no
/// Lua gives tokens too: the compiler complains, not this.
pub(super) fn tokens(text: &str) -> Vec<(Token, usize)> {
    let mut rest = text;
    let mut line = 1;
    let mut found = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (token, len) = if let Some(comment) = rest.strip_prefix("--") {
            let body = long_bracket(comment).unwrap_or_else(|| to_line_end(comment));
            (None, 2 + body)
        } else if let Some(len) = long_bracket(rest) {
            (Some(Token::Text(rest[..len].to_owned())), len)
        } else if first == '"' || first == '\'' {
            let len = quoted(rest, first);
            let content = rest[1..len].trim_end_matches(first);
            (Some(Token::Text(content.to_owned())), len)
        } else if first.is_ascii_alphabetic() || first == '_' {
            let end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
            let len = rest.find(end).unwrap_or(rest.len());
            (Some(Token::Name(rest[..len].to_owned())), len)
        } else if first.is_ascii_digit() {
            // A number's point must not look like a member's.
            let end = |c: char| !c.is_ascii_alphanumeric() && c != '.';
            let len = rest.find(end).unwrap_or(rest.len());
            (Some(Token::Text(rest[..len].to_owned())), len)
        } else if rest.starts_with("..") {
            // Neither may this one's.
            let len = rest.find(|c| c != '.').unwrap_or(rest.len());
            (Some(Token::Symbol('…')), len)
        } else if first.is_whitespace() {
            (None, first.len_utf8())
        } else {
            (Some(Token::Symbol(first)), first.len_utf8())
        };
        found.extend(token.map(|token| (token, line)));
        line += rest[..len].matches('\n').count();
        rest = &rest[len..];
    }
    found
}

fn to_line_end(text: &str) -> usize {
    text.find('\n').unwrap_or(text.len())
}

/// Length of `[[…]]`, `[=[…]=]` and so on at the beginning of a text.
fn long_bracket(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('[')?;
    let level = inner.len() - inner.trim_start_matches('=').len();
    inner[level..].strip_prefix('[')?;
    let close = format!("]{}]", "=".repeat(level));
    Some(text.find(&close).map_or(text.len(), |at| at + close.len()))
}

/// Length of a quoted string; one that is not closed ends with its line.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\n' => return at,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_gives_tokens(text: String) {
            let lines = text.matches('\n').count() + 1;
            prop_assert!(tokens(&text).iter().all(|(_, line)| (1..=lines).contains(line)));
        }
    }

    #[test]
    fn strings_hide_their_content() {
        let text = "a [==[ b ]] c ]==] 'd\\' e' 1.5 --[[ f\n]] g";
        let names: Vec<_> = tokens(text)
            .into_iter()
            .filter(|(token, _)| matches!(token, Token::Name(_)))
            .collect();
        assert_eq!(
            names,
            [(Token::Name("a".into()), 1), (Token::Name("g".into()), 2)]
        );
    }
}
