//! `ftp`: the FTP client. Every function but `debug` gives an awaitable.

use airbench_lua32::Kind;

use crate::args::{Args, Call, Results};
use crate::libs::Library;
use crate::libs::http::push_awaitable;
use crate::net::ftp::{Login, Outcome, Request};

pub(crate) const LIBRARY: Library = Library {
    name: "ftp",
    functions: &[
        ("login", login),
        ("command", command),
        ("pull", pull),
        ("push", push),
        ("close", close),
        ("debug", debug),
    ],
    constants: &[],
};

const PORT: i32 = 21;
/// What an awaitable of a refused call gives.
const NO_CONNECTION: i32 = -4;
const NO_FILE: i32 = -8;

fn opt_bytes(cx: &Call<'_>, index: i32) -> Result<Vec<u8>, airbench_lua32::Raise> {
    if cx.is_none_or_nil(index) {
        return Ok(Vec::new());
    }
    cx.check_bytes(index)
}

/// The awaitable of a call that was accepted.
fn accepted(cx: &mut Call<'_>) -> Results {
    let topic = cx.host().new_topic();
    cx.host().ftp.topic = Some(topic.clone());
    push_awaitable(cx, &topic, None)
}

/// The awaitable of one that was not, with its result.
fn refused(cx: &mut Call<'_>, line: &str, code: i32) -> Results {
    if !line.is_empty() {
        cx.host().ftp_error(line);
    }
    push_awaitable(cx, b"", Some(code))
}

/// `ftp.login(adapter, host, port, user, password, tls, cert, key, pwd)`.
fn login(cx: &mut Call<'_>) -> Results {
    let default = cx.host().default_adapter;
    let adapter = cx.opt_integer(1, default)? as u8;
    let host = cx.check_text(2)?;
    let login = Login {
        adapter,
        host: host.split('\0').next().unwrap_or_default().to_owned(),
        port: cx.opt_integer(3, PORT)? as u16,
        user: opt_bytes(cx, 4)?,
        password: opt_bytes(cx, 5)?,
        tls: cx.kind(6) == Kind::Table || (cx.kind(6) == Kind::Boolean && cx.to_boolean(6)),
    };
    match cx.host().ftp_login(login) {
        Ok(()) => accepted(cx),
        Err(code) => refused(cx, "ftp login fail", code),
    }
}

/// `ftp.command(text)`.
fn command(cx: &mut Call<'_>) -> Results {
    let command = opt_bytes(cx, 1)?;
    let rt = cx.host();
    if !rt.ftp_ready() || !rt.ftp_set_command(&command) {
        return refused(cx, "ftp command fail", NO_FILE);
    }
    rt.ftp_request(Request::Command);
    accepted(cx)
}

fn transfer(cx: &mut Call<'_>, request: Request) -> Result<bool, airbench_lua32::Raise> {
    let local = String::from_utf8_lossy(&opt_bytes(cx, 1)?).into_owned();
    let remote = opt_bytes(cx, 2)?;
    let rt = cx.host();
    let ready = rt.ftp_ready() && rt.ftp_set_files(request == Request::Pull, &local, &remote);
    if ready {
        rt.ftp_request(request);
    }
    Ok(ready)
}

/// `ftp.pull(local, remote)`.
fn pull(cx: &mut Call<'_>) -> Results {
    if transfer(cx, Request::Pull)? {
        accepted(cx)
    } else {
        refused(cx, "ftp pull fail", NO_FILE)
    }
}

/// `ftp.push(local, remote)`.
fn push(cx: &mut Call<'_>) -> Results {
    if transfer(cx, Request::Push)? {
        accepted(cx)
    } else {
        refused(cx, "ftp push fail", NO_CONNECTION)
    }
}

/// `ftp.close()`.
fn close(cx: &mut Call<'_>) -> Results {
    if !cx.host().ftp_ready() {
        return refused(cx, "", NO_CONNECTION);
    }
    cx.host().ftp_request(Request::Close);
    accepted(cx)
}

/// `ftp.debug(on)`.
fn debug(cx: &mut Call<'_>) -> Results {
    if cx.kind(1) == Kind::Boolean {
        cx.host().ftp.debug = cx.to_boolean(1);
    }
    Ok(0)
}

/// The task is done with something; whoever waits hears of it.
pub(crate) fn on_outcome(cx: &mut Call<'_>, outcome: Outcome) -> Results {
    let result = std::mem::take(&mut cx.host().ftp.result);
    let Some(topic) = cx.host().ftp.topic.take() else {
        return Ok(0);
    };
    if cx.get_global("sys_pub") != Kind::Function {
        return Ok(0);
    }
    cx.push_bytes(&topic);
    match outcome {
        Outcome::Failed => cx.push_boolean(false),
        Outcome::Done => cx.push_boolean(true),
        Outcome::Text => cx.push_bytes(&result),
    }
    cx.call(2, 0)?;
    Ok(0)
}
