-- Mailboxes of the new core, a part of its `sys`.
local boxes = {}       -- task name -> its mailbox

function sys.taskInitEx(fn, name, unmatched, ...)
    if name == nil then
        log.error("sys", "taskName is nil", debug.traceback())
        return
    end
    boxes[name] = {queue = {}, unmatched = unmatched}
    return sys.taskInit(fn, ...) --@735
end

function sys.taskDel(name)
    boxes[name] = nil
end

local function time_out(name)
    if boxes[name] then
        boxes[name].late = true
        sys.publish(name)
    end
end

-- The first message with this target; others go to the task's callback.
local function take(name, target)
    local box = boxes[name]
    while #box.queue > 0 do
        local message = table.remove(box.queue, 1)
        if target == nil or message[1] == target then return message end
        if type(box.unmatched) == "function" then box.unmatched(message) end
    end
end

function sys.waitMsg(name, target, ms)
    local box = boxes[name]
    if box == nil then
        log.error("sys", "sys.taskInitEx启动的task才能使用waitMsg")
        return false
    end
    local message = take(name, target)
    if message then return message end
    local co = coroutine.running()
    sys.subscribe(name, co)
    sys.timerStop(time_out, name)
    if ms and ms ~= 0 then sys.timerStart(time_out, ms, name) end
    box.late = false
    repeat
        coroutine.yield() --@825
        message = take(name, target)
    until message or box.late
    box.late = false
    sys.timerStop(time_out, name)
    sys.unsubscribe(name, co)
    return message
end

function sys.sendMsg(name, p1, p2, p3, p4)
    local box = boxes[name]
    if not box then return false end
    box.queue[#box.queue + 1] = {p1, p2, p3, p4}
    sys.publish(name)
    return true
end

function sys.cleanMsg(name)
    if not boxes[name] then return false end
    boxes[name].queue = {}
    return true
end

function sys.taskCB(name, message)
    local unmatched = boxes[name] and boxes[name].unmatched
    if type(unmatched) == "function" then
        unmatched(message)
    else
        log.error(name, "no cb fun")
    end
end
