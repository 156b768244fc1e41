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

function sysplus.sendMsg(name, ...)
    local box = boxes[name]
    if not box then return false end
    box.queue[#box.queue + 1] = {...}
    sys.publish(name)
    return true
end

local function pass_on(name, message)
    local unmatched = boxes[name] and boxes[name].unmatched
    if unmatched then unmatched(message) end
end

function sysplus.taskCB(name, message)
    pass_on(name, message)
end

-- V1112 looks at one queued message only before it waits for the next wake.
function sysplus.waitMsg(name, target, ms)
    local box = boxes[name]
    if not box then
        log.error("sys", "task name not found", name)
        return false
    end
    if ms == 0 then ms = nil end
    local first = table.remove(box.queue, 1)
    if first then
        if target == nil or first[1] == target then return first end
        pass_on(name, first)
    end
    while true do
        local woken = sys.waitUntil(name, ms)
        if not woken then return nil end
        while #box.queue > 0 do
            local message = table.remove(box.queue, 1)
            if target == nil or message[1] == target then return message end
            pass_on(name, message)
        end
    end
end

function sysplus.cleanMsg(name)
    if not boxes[name] then return false end
    boxes[name].queue = {}
    return true
end
