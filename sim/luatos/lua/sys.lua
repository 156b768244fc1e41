-- The firmware's built-in scheduler, written anew after its documented
-- behaviour (docs/firmware-facts.md, "sys"). Stripped when it is loaded.
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
        error(debug.traceback("attempt to yield from outside a coroutine"))
    end
    return co
end

local function clear_timer(id)
    rtos.timer_stop(id)
    owner[id], arguments[id] = nil, nil
end

function sys.wait(ms)
    local co = sys.check_task()
    repeat
        last_task_timer = last_task_timer >= TASK_LAST - 1 and 1 or last_task_timer + 1
    until owner[last_task_timer] == nil
    local id = last_task_timer
    waiting[co], owner[id] = id, co
    if rtos.timer_start(id, ms) ~= 1 then
        log.debug("rtos.timer_start error")
        waiting[co], owner[id] = nil, nil
        return
    end
    local message = {coroutine.yield()}
    if #message ~= 0 then
        rtos.timer_stop(id)
        waiting[co], owner[id] = nil, nil
        return spread(message, 1)
    end
end

local function wait_for(co, id, ms)
    sys.subscribe(id, co)
    local message = ms and {sys.wait(ms)} or {coroutine.yield()}
    sys.unsubscribe(id, co)
    return message
end

function sys.waitUntil(id, ms)
    local message = wait_for(sys.check_task(), id, ms)
    return message[1] ~= nil, spread(message, 2)
end

function sys.waitUntilExt(id, ms)
    local message = wait_for(sys.check_task(), id, ms)
    if message[1] ~= nil then return spread(message, 1) end
    return false
end

function sys.waitUntilMsg(id)
    return spread(wait_for(sys.check_task(), id), 2)
end

function sys.taskInit(fn, ...)
    local co = coroutine.create(fn)
    sys.coresume(co, ...)
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
    assert(fn ~= nil, "sys.timerStart(first param) is nil !")
    sys.timerStop(fn, ...)
    repeat
        last_callback_timer = last_callback_timer >= CALLBACK_LAST and TASK_LAST + 1 or last_callback_timer + 1
    until owner[last_callback_timer] == nil
    local id = last_callback_timer
    owner[id] = fn
    if rtos.timer_start(id, ms, count) ~= 1 then
        owner[id] = nil
        return
    end
    if select("#", ...) ~= 0 then arguments[id] = {...} end
    return id
end

function sys.timerStart(fn, ms, ...)
    return sys.timerAdvStart(fn, ms, 0, ...)
end

function sys.timerLoopStart(fn, ms, ...)
    return sys.timerAdvStart(fn, ms, -1, ...)
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
    if not topics[id] then topics[id] = {} end
    topics[id][callback] = true
end

function sys.unsubscribe(id, callback)
    if type(id) == "table" then
        for _, each in pairs(id) do sys.unsubscribe(each, callback) end
        return
    end
    local set = topics[id]
    if set then set[callback] = nil end
    -- An unknown topic raises here, as on the board.
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
                    receiver(spread(message, 2))
                elseif type(receiver) == "thread" then
                    sys.coresume(receiver, spread(message, 1))
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
            sys.coresume(val)
        end
        return
    end
    if left == 0 then owner[id] = nil end
    local args = arguments[id]
    if args then val(spread(args, 1)) else val() end
    if left == 0 and owner[id] == nil then arguments[id] = nil end
end

function sys.run()
    while true do
        dispatch()
        local kind, id, left = rtos.receive(rtos.INF_TIMEOUT)
        if kind == rtos.MSG_TIMER then on_timer(id, left) end
    end
end

_G.sys_pub = sys.publish

return sys
