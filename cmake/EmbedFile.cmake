# Turns files into C arrays. Used in these ways:
#
#   relay_embed_file(TARGET FILE SYMBOL)    adds the array to a library, rebuilt when the file changes
#   relay_embed_folder(TARGET FOLDER SYMBOL)    adds all files of a folder, each as it is and as gzip
#   cmake -DINPUT=.. -DOUTPUT=.. -DSYMBOL=.. [-DGZIP=1] -P EmbedFile.cmake    what these rules run
#
# The C side declares
#   extern const unsigned char SYMBOL[];    // a NUL follows the last byte
#   extern const size_t SYMBOL_len;         // without that NUL
if(CMAKE_SCRIPT_MODE_FILE)
    if(GZIP)
        file(ARCHIVE_CREATE OUTPUT ${OUTPUT}.gz PATHS ${INPUT} FORMAT raw COMPRESSION GZip COMPRESSION_LEVEL 9)
        file(READ ${OUTPUT}.gz bytes HEX)
        file(REMOVE ${OUTPUT}.gz)
        # The head's time, so that equal files give equal programs.
        string(SUBSTRING "${bytes}" 0 8 magic)
        string(SUBSTRING "${bytes}" 16 -1 rest)
        set(bytes "${magic}00000000${rest}")
    else()
        file(READ ${INPUT} bytes HEX)
    endif()
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
    string(REPEAT "0x..," 20 row)
    string(REGEX REPLACE "(${row})" "\\1\n" bytes "${bytes}")
    get_filename_component(name ${INPUT} NAME)
    file(WRITE ${OUTPUT} "/* Generated from ${name}. */\n#include <stddef.h>\n\n"
        "extern const unsigned char ${SYMBOL}[];\nextern const size_t ${SYMBOL}_len;\n\n"
        "const unsigned char ${SYMBOL}[] = {\n${bytes}0};\n"
        "const size_t ${SYMBOL}_len = sizeof ${SYMBOL} - 1;\n")
    return()
endif()

set(RELAY_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})
function(relay_embed_file target file symbol)
    if(NOT TARGET ${target} OR NOT EXISTS ${CMAKE_SOURCE_DIR}/${file})
        return()
    endif()
    set(output ${CMAKE_BINARY_DIR}/embedded/${symbol}.c)
    add_custom_command(OUTPUT ${output}
        COMMAND ${CMAKE_COMMAND} -DINPUT=${CMAKE_SOURCE_DIR}/${file} -DOUTPUT=${output}
            -DSYMBOL=${symbol} -DGZIP=${ARGV3} -P ${RELAY_EMBED_SCRIPT}
        DEPENDS ${CMAKE_SOURCE_DIR}/${file} ${RELAY_EMBED_SCRIPT}
        COMMENT "Embedding ${file}" VERBATIM)
    target_sources(${target} PRIVATE ${output})
endfunction()

# The C side: SYMBOL[] of struct embedded_file (admin/files.h), the last without a path. A folder that
# is not there is empty.
function(relay_embed_folder target folder symbol)
    if(NOT TARGET ${target})
        return()
    endif()
    file(GLOB_RECURSE files CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR}/${folder} ${folder}/*)
    set(table ${CMAKE_BINARY_DIR}/embedded/${symbol}.c)
    set(declared "")
    set(rows "")
    set(number 0)
    foreach(file IN LISTS files)
        foreach(kind plain gzip)
            set(name ${symbol}_${number}_${kind})
            string(COMPARE EQUAL ${kind} gzip compressed)
            relay_embed_file(${target} ${folder}/${file} ${name} ${compressed})
            string(APPEND declared "extern const unsigned char ${name}[];\nextern const size_t ${name}_len;\n")
        endforeach()
        set(name ${symbol}_${number})
        string(APPEND rows "    {\"/${file}\", ${name}_plain, &${name}_plain_len, ${name}_gzip, &${name}_gzip_len},\n")
        math(EXPR number "${number} + 1")
    endforeach()
    file(CONFIGURE OUTPUT ${table} CONTENT
"/* Generated from ${folder}. */
#include \"admin/files.h\"

${declared}
const struct embedded_file ${symbol}[] = {
${rows}    {0}};
" @ONLY)
    target_sources(${target} PRIVATE ${table})
endfunction()
