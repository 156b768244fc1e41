-- The firmware's task mailboxes and awaitables, written anew after their
-- documented behaviour (docs/firmware-facts.md, "sysplus").
local sys = require("sys")
local sysplus = {}

local boxes = {}       -- task name -> its mailbox

function sysplus.taskInitEx(fn, name, unmatched, ...)
    boxes[name] = {queue = {}, unmatched = unmatched}
    return sys.taskInit(fn, ...)
end

function sysplus.taskDel(name)
    boxes[name] = nil
end

-- A message has four parts at most.
function sysplus.sendMsg(name, a, b, c, d)
    local box = boxes[name]
    if not box then return false end
    table.insert(box.queue, {a, b, c, d})
    sys.publish(name)
    return true
end

local function pass_on(name, message)
    local unmatched = boxes[name].unmatched
    if type(unmatched) == "function" then
        unmatched(message)
        return true
    end
end

function sysplus.taskCB(name, message)
    if boxes[name] and pass_on(name, message) then return end
    log.error(name, "no cb fun")
end

local function expire(name)
    boxes[name].expired = true
    sys.publish(name)
end

-- The oldest message, if it is wanted; others go to the task's callback.
local function take(name, target)
    local message = table.remove(boxes[name].queue, 1)
    if target == nil or message[1] == target then return message end
    pass_on(name, message)
end

-- One message is looked at before it waits, and one at each wake. The time
-- runs for the whole call, and being over outweighs a message.
function sysplus.waitMsg(name, target, ms)
    if boxes[name] == nil then
        log.error("sysplus", "sys.taskInitEx启动的task才能使用waitMsg")
        return false
    end
    local message
    if #boxes[name].queue > 0 then
        message = take(name, target)
        if message then return message end
    end
    local task = coroutine.running()
    sys.subscribe(name, task)
    sys.timerStop(expire, name)
    if ms and ms ~= 0 then sys.timerStart(expire, ms, name) end
    boxes[name].expired = false
    repeat
        coroutine.yield()
        local idle = #boxes[name].queue == 0
        if not idle then message = take(name, target) end
    until message or idle and boxes[name].expired
    if boxes[name].expired then message = nil end
    boxes[name].expired = false
    sys.timerStop(expire, name)
    sys.unsubscribe(name, task)
    return message
end

function sysplus.cleanMsg(name)
    if not boxes[name] then return false end
    boxes[name].queue = {}
    return true
end
