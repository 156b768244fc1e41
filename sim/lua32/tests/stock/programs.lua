-- Random programs of everything the firmware leaves as PUC Lua has it. Their
-- answers go to `emit`; floats as their bytes, because the firmware prints them
-- in its own way. SEED and COUNT come before this text.
local state = SEED

local function random(n)
    state = (state * 1103515245 + 12345) & 0x7FFFFFFF
    return (state >> 8) % n
end

local function pick(list)
    return list[1 + random(#list)]
end

local function show(value, depth)
    local kind = math.type(value) or type(value)
    if kind == "float" then
        if value ~= value then return "nan" end
        return "f" .. string.pack("<f", value):gsub(".", function(c) return ("%02x"):format(c:byte()) end)
    elseif kind == "string" then
        return ("%q"):format(value)
    elseif kind == "table" then
        if depth == 0 then return "{}" end
        local parts = {}
        for key, item in pairs(value) do
            parts[#parts + 1] = show(key, 0) .. "=" .. show(item, (depth or 3) - 1)
        end
        return "{" .. table.concat(parts, " ") .. "}"
    elseif kind == "integer" or kind == "boolean" or kind == "nil" then
        return tostring(value)
    end
    return kind
end

-- Addresses differ from process to process.
local function list(...)
    local parts = {}
    for i = 1, select("#", ...) do parts[i] = show((select(i, ...))) end
    -- The firmware's library tables cannot be searched for a function's name.
    local text = table.concat(parts, " "):gsub(": 0?x?%x%x%x%x%x%x%x%x+", ": ADDRESS")
    return (text:gsub("to '%w+%.%w+'", "to '?'"))
end

local INTEGERS = {"0", "1", "-1", "2", "3", "7", "10", "255", "256", "65535", "-32768", "2147483647",
    "math.mininteger", "0x7fffffff", "0xffffffff", "4294967296", "1 << 31"}
local FLOATS = {"0.0", "-0.0", "1.5", "-2.25", "1e10", "3e38", "1e-40", "1/0", "-1/0", "2^24", "2^31", "-2^31",
    "0.1", "1e3", "0x1p-3", "0x.8", "5.", ".5"}
local OTHERS = {"nil", "true", "false", "'10'", "'0x10'", "' 7 '", "'1e2'", "'abc'", "''", "'-1.5'", "{}", "print",
    "('x'):rep(3)", "#'four'", "select('#', 1, nil)"}
local BINARY = {"+", "-", "*", "/", "//", "%", "^", "&", "|", "~", "<<", ">>", "..", "<", "<=", ">", ">=", "==", "~=",
    "and", "or"}
local UNARY = {"-", "not ", "#", "~"}

-- A float in a text would be the firmware's affair.
function text(value)
    return math.type(value) == "float" and "float" or value
end

local function expression(depth)
    local way = random(depth > 2 and 6 or 12)
    if way < 3 then return pick(INTEGERS) end
    if way < 5 then return pick(FLOATS) end
    if way == 5 then return pick(OTHERS) end
    if way == 6 then return pick(UNARY) .. "(" .. expression(depth + 1) .. ")" end
    local left, operator, right = expression(depth + 1), pick(BINARY), expression(depth + 1)
    if operator == ".." then left, right = "text(" .. left .. ")", "text(" .. right .. ")" end
    return "(" .. left .. " " .. operator .. " " .. right .. ")"
end

local PATTERNS = {"a", "%a+", "(%a)(%d*)", "^%s*(.-)%s*$", "[%w_]+", "[^,]*", "%f[%w]%w+", "%b()", "()", ".-b", "(a*(.)%w(%s*))",
    "[a-c]", "[]]", "[%]]", "%", "[a", "(a", "a)", "%1", "(.)%1", "a?b", "^a", "b$", "$", "", "%z", "[%z\1-\31]", "%x%x", "%g+"}
local TEXTS = {"", "a", "hello world", "key = value", "one,two,,three", "(a(b)c)d", "THE (quick) fox", "aabbcc", "a1b22c333",
    "  trim me  ", "\0nul\0", "x=1;y=2", "deadBEEF", "]]", "\xff\xfe", "10"}
local REPLACEMENTS = {"", "%0", "%1", "<%1>", "%%", "%2", "%", "x"}

local function argument(library)
    local way = random(10)
    if way < 3 then return pick(TEXTS) end
    if way < 8 then return random(12) - 4 end
    -- As text a float is the firmware's affair.
    if way == 8 and library == math then return random(100) / 8 - 3 end
    return pick({nil, true, {}, "3", math.maxinteger, math.mininteger, "x"})
end

local NAMES = {
    {string, {"byte", "char", "find", "match", "gsub", "len", "lower", "upper", "reverse", "sub", "format", "pack", "unpack", "packsize"}},
    {math, {"abs", "ceil", "floor", "fmod", "max", "min", "modf", "tointeger", "type", "ult"}},
    {table, {"concat", "insert", "move", "pack", "remove", "unpack"}},
    {utf8, {"char", "codepoint", "len", "offset"}},
    {_G, {"tonumber", "select", "rawequal", "rawlen", "rawget", "rawset", "type", "next", "ipairs", "assert", "error"}},
}
local FORMATS = {"%d", "%5d|", "%-5d|", "%05d", "%x", "%X", "%#x", "%o", "%c", "%s", "%5s|", "%-5s|", "%.2s", "%q", "%i", "%%", "%y", "%", "%123d", "%s %s"}
local PACKS = {"b", "B", "h", "H", "i", "I", "i3", "<i4", ">I2", "z", "s1", "s2", "f", "x", "!4 b i", "i17", "j", "Xh", "c3", "=h"}

local function call()
    local group = pick(NAMES)
    local name = pick(group[2])
    local args = {n = random(5)}
    for i = 1, args.n do args[i] = argument(group[1]) end
    if group[1] == table then args[1] = {5, "b", 7, random(9)} end
    if name == "find" or name == "match" or name == "gsub" then
        args[1], args[2], args.n = pick(TEXTS), pick(PATTERNS), math.max(args.n, 2)
        if name == "gsub" then args[3], args.n = pick(REPLACEMENTS), math.max(args.n, 3) end
    elseif name == "format" then
        args[1], args.n = pick(FORMATS), math.max(args.n, 1)
    elseif name == "pack" and group[1] == string or name == "unpack" and group[1] == string or name == "packsize" then
        args[1], args.n = pick(PACKS), math.max(args.n, 1)
    elseif name == "move" or name == "unpack" or name == "insert" or name == "concat" then
        for i = 2, args.n do args[i] = random(7) - 1 end
    elseif name == "next" or name == "ipairs" or name == "rawset" or name == "rawget" then
        args[1] = {1, 2, 3, k = "v"}
    end
    return group[1], name, args
end

-- Loops, closures, varargs, goto, metatables, coroutines, integer overflow.
local SHAPES = {
    "local t = {} for i = A, B, C do t[#t + 1] = i if #t > 9 then break end end return table.unpack(t)",
    "local t = {} for i = A + 0.5, B, C do t[#t + 1] = i if #t > 9 then break end end return table.unpack(t)",
    "local function f(...) local a, b = ... return select('#', ...), b, a, ... end return f(A, nil, B, f(C))",
    "local i, s = A, '' ::top:: s = s .. i i = i + 1 if #s < 12 then goto top end return s, i",
    "local m = setmetatable({}, {__add = function(a, b) return 'add' end, __index = function(t, k) return k end, __len = function() return A end, __call = function(_, x) return x end, __concat = function() return 'cat' end, __eq = function() return true end, __lt = function() return false end, __unm = function() return B end, __idiv = function() return C end}) return m + 1, m.x, #m, m(C), m .. 'x', m == setmetatable({}, getmetatable(m)), m < m, -m, m // 2",
    "local co = coroutine.wrap(function(x) for i = 1, 3 do x = coroutine.yield(x, i) end return 'end' end) return co(A), co(B), co(C), co()",
    "local co = coroutine.create(function(x) error(x) end) return coroutine.resume(co, A), coroutine.status(co), coroutine.resume(co)",
    "local t = {A, B, C, n = A} t[#t + 1] = B t[2] = nil local n = 0 for k, v in pairs(t) do n = n * 3 + (tonumber(v) or 1) end return n, #t",
    "local a <const> = 1 return a",
    "local up = A local function inc() up = up + B return up end return inc(), inc(), up",
    "local t = {} for k in ('k=v, x=y'):gmatch('%w+') do t[k] = #k end return t, A",
    "return (function(...) return ... end)(A, B, C)",
    "local t = {C, A, B, 5, 3} table.sort(t, function(a, b) return a > b end) return table.unpack(t)",
    "local t = {C, 'x', B} table.sort(t) return t[1]",
    "return pcall(error, {code = A}), pcall(error), select(2, pcall(error, 'm', 0)), select(2, pcall(error, 'm', 1))",
    "local s = 0 while s < A + 20 do s = s + 3 if s % 2 == 0 then s = s + 1 end end repeat s = s - 7 until s < B return s",
    "return xpcall(function() local x = nil; return x.y end, function(m) return 'handled ' .. m end)",
    "local t = setmetatable({}, {__newindex = function(t, k, v) rawset(t, k, v + A) end}) t.a = B t.b = C return t.a, t.b",
    "local t = {['a'] = A, b = {c = B}} return t.a.x.y",
    "return A.field",
    "local x = B return x()",
    "return ('x'):nope(A)",
    "return 1 < 'x', A",
    "return #A",
}

for _ = 1, COUNT do
    local code = "return " .. expression(0)
    local made, why = load(code, "=e")
    emit(code .. " -> " .. (made and list(pcall(made)) or why))

    local library, name, args = call()
    emit(name .. " -> " .. list(pcall(library[name], table.unpack(args, 1, args.n))))

    local letters = {A = random(9) - 3, B = random(9) + 1, C = random(3) + 1}
    code = pick(SHAPES):gsub("%f[%w][ABC]%f[%W]", letters)
    made, why = load(code, "=s")
    emit(code .. " -> " .. (made and list(pcall(made)) or why))

    -- Damaged sources: the same complaint from the compiler.
    local at = 1 + random(#code)
    code = code:sub(1, at - 1) .. pick({"", " end ", "(", "]", "'", "0x", "..", "=", "::", "\\", "[[", "--"}) .. code:sub(at + random(4))
    made, why = load(code, "=d")
    emit(made and "compiles" or why)
end
