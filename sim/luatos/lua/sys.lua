-- The firmware's built-in scheduler, written anew after its documented
-- behaviour (docs/firmware-facts.md, "sys"), for both cores: a line that ends in
-- `--v1112` or `--new` is in that core's file alone. V1112 strips its file. The
-- new core does not, and its line numbers show in messages and tracebacks:
-- `--@N` puts a statement on the firmware's line N (see libs/inline.rs).
local sys = {}

SCRIPT_LIB_VER = "2.3.2"

-- Numbers of timers: tasks below, callbacks above.
local TASK_LAST = 0x1FFFFF
local CALLBACK_LAST = 0x7FFFFF

local last_task_timer, last_callback_timer = 0, TASK_LAST

local owner = {}       -- timer number -> coroutine or callback
local arguments = {}   -- timer number -> packed arguments of a callback
local waiting = {}     -- coroutine -> number of the timer it waits for
local topics = {}      -- topic -> set of subscribers
local queue = {}       -- published, not yet dispatched

-- The firmware's `unpack` stops at the border, and so do its queues.
local function spread(t, from) return unpack(t, from, #t) end

-- Errors of a task: one log entry, then the roll-back that ends the VM.
local function settle(co, ok, ...)
    if not ok then
        local message = (...)
        local trace = debug.traceback(co)
        if trace and trace ~= "" then message = message .. "\r\n" .. trace end
        log.error("coroutine.resume", message)
        if _G.COROUTINE_ERROR_ROLL_BACK then
            sys.timerStart(assert, 500, false, message)
        elseif _G.COROUTINE_ERROR_RESTART then
            rtos.reboot()
        end
    end
    return ok, ...
end

_G.COROUTINE_ERROR_ROLL_BACK = true
_G.COROUTINE_ERROR_RESTART = true

function sys.coresume(co, ...)
    return settle(co, coroutine.resume(co, ...))
end

function sys.check_task()
    local co, main = coroutine.running()
    if co == nil or main then
        error(debug.traceback("attempt to yield from outside a coroutine")) --@147
    end
    return co
end

local function clear_timer(id)
    rtos.timer_stop(id)
    owner[id], arguments[id] = nil, nil
end

function sys.wait(ms)
    local co = sys.check_task() --@161
    repeat
        last_task_timer = last_task_timer >= TASK_LAST - 1 and 1 or last_task_timer + 1
    until owner[last_task_timer] == nil
    local id = last_task_timer
    waiting[co], owner[id] = id, co
    if rtos.timer_start(id, ms) ~= 1 then --@181
        -- What was noted stays: the firmware leaks it.
        log.debug("rtos.timer_start error") return
    end
    local message = {coroutine.yield()} --@185
    if #message ~= 0 then
        rtos.timer_stop(id)
        waiting[co], owner[id] = nil, nil
        return spread(message, 1)
    end
end

local function wait_for(co, id, ms) --v1112
    sys.subscribe(id, co) --v1112
    local message = ms and {sys.wait(ms)} or {coroutine.yield()} --v1112
    sys.unsubscribe(id, co) --v1112
    return message --v1112
end --v1112

function sys.waitUntil(id, ms)
    local message = wait_for(sys.check_task(), id, ms) --v1112
    local co = sys.check_task() --new --@207
    sys.subscribe(id, co) --new
    local message = ms and {sys.wait(ms)} or {coroutine.yield()} --new --@224
    sys.unsubscribe(id, co) --new
    return message[1] ~= nil, spread(message, 2)
end

function sys.waitUntilMsg(id) --new
    local co = sys.check_task() --new --@239
    sys.subscribe(id, co) --new
    local message = {coroutine.yield()} --new --@241
    sys.unsubscribe(id, co) --new
    return spread(message, 2) --new
end --new

function sys.waitUntilExt(id, ms)
    local message = wait_for(sys.check_task(), id, ms) --v1112
    local co = sys.check_task() --new --@254
    sys.subscribe(id, co) --new
    local message = ms and {sys.wait(ms)} or {coroutine.yield()} --new --@256
    sys.unsubscribe(id, co) --new
    if message[1] ~= nil then return spread(message, 1) end
    return false
end

function sys.waitUntilMsg(id) --v1112
    return spread(wait_for(sys.check_task(), id), 2) --v1112
end --v1112

function sys.taskInit(fn, ...)
    local co = coroutine.create(fn) --@271
    sys.coresume(co, ...) --@274
    return co
end

-- Same function and same arguments, position by position.
local function is_match(id, fn, args)
    if owner[id] ~= fn then return false end
    local own = arguments[id]
    if own == nil or #own == 0 then return args == nil or #args == 0 end
    if args == nil or #own ~= #args then return false end
    for i = 1, #own do
        if own[i] ~= args[i] then return false end
    end
    return true
end

local function find_timer(fn, args)
    for id in pairs(owner) do
        if is_match(id, fn, args) then return id end
    end
end

function sys.timerStop(val, ...)
    if type(val) == "number" then
        clear_timer(val)
        return
    end
    local id = find_timer(val, {...})
    if id then clear_timer(id) end
end

function sys.timerStopAll(fn)
    local ids = {}
    for id, val in pairs(owner) do
        if type(val) == "function" and val == fn then ids[#ids + 1] = id end
    end
    for _, id in ipairs(ids) do clear_timer(id) end
end

function sys.timerAdvStart(fn, ms, count, ...)
    sys.timerStop(fn, ...)
    repeat
        last_callback_timer = last_callback_timer >= CALLBACK_LAST and TASK_LAST + 1 or last_callback_timer + 1
    until owner[last_callback_timer] == nil
    local id = last_callback_timer
    owner[id] = fn
    if rtos.timer_start(id, ms, count) ~= 1 then --@374
        log.error("rtos.timer_start", "create fail!!!") --new
        return
    end
    if select("#", ...) ~= 0 then arguments[id] = {...} end
    return id
end

function sys.timerStart(fn, ms, ...)
    return sys.timerAdvStart(fn, ms, 0, ...) --@394
end

function sys.timerLoopStart(fn, ms, ...)
    return sys.timerAdvStart(fn, ms, -1, ...) --@403
end

function sys.timerIsActive(val, ...)
    if type(val) == "number" then return owner[val] end
    if find_timer(val, {...}) then return true end
end

function sys.subscribe(id, callback)
    if type(id) == "table" then
        for _, each in pairs(id) do sys.subscribe(each, callback) end
        return
    end
    if not topics[id] then topics[id] = {} end --@482
    topics[id][callback] = true --@483
end

function sys.unsubscribe(id, callback)
    if type(id) == "table" then
        for _, each in pairs(id) do sys.unsubscribe(each, callback) end
        return
    end
    local set = topics[id]
    -- An unknown topic raises on V1112.
    if set then set[callback] = nil end --v1112
    if not set then return end --new
    set[callback] = nil --new
    for _ in pairs(set) do return end
    topics[id] = nil
end

function sys.publish(...)
    queue[#queue + 1] = {...}
end

-- Delivers everything published, including what the receivers publish.
local function dispatch()
    while #queue > 0 do
        local message = table.remove(queue, 1)
        local set = topics[message[1]]
        if set then
            local receivers = {}
            for receiver in pairs(set) do receivers[#receivers + 1] = receiver end
            for _, receiver in ipairs(receivers) do
                if type(receiver) == "function" then
                    receiver(spread(message, 2)) --@551
                elseif type(receiver) == "thread" then
                    sys.coresume(receiver, spread(message, 1)) --@553
                end
            end
        end
    end
end

local function on_timer(id, left)
    local val = owner[id]
    if val == nil then return end
    if id < TASK_LAST then
        owner[id] = nil
        if waiting[val] == id then
            waiting[val] = nil
            sys.coresume(val) --@598
        end
        return
    end
    if left == 0 then owner[id] = nil end
    local args = arguments[id]
    if args then
        val(spread(args, 1)) --@608
    else
        val() --@613
    end
    if left == 0 and owner[id] == nil then arguments[id] = nil end
end

function sys.safeRun()
    dispatch()
    local kind, id, left = rtos.receive(rtos.INF_TIMEOUT)
    if kind == rtos.MSG_TIMER then on_timer(id, left) end
end

-- A program that sets SYSP pumps by itself.
local pumped = _G.SYSP

function sys.run()
    if pumped then return end
    while true do
        sys.safeRun() --@636
    end
end
