-- What C hands out for a result to come: `.wait()` and `.cb(fn)`.
local awaitable = {}
function awaitable.__index(self, key)
    local topic, known = rawget(self, "w"), rawget(self, "r")
    local function wait()
        if known then return unpack(known) end
        return sys.waitUntilMsg(topic)
    end
    if key == "wait" then return wait end
    if key == "cb" then
        return function(fn)
            if type(fn) == "function" then sys.taskInit(function() fn(wait()) end) end
        end
    end
end

function _G.sys_cw(topic, ...)
    local known = {...}
    return setmetatable({w = topic, r = #known > 0 and known or nil}, awaitable)
end
